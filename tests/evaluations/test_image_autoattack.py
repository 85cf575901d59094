"""robustness.image_autoattack: known answers, flags, and what a hostile run may not claim."""

from __future__ import annotations

import base64
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from evaluations import stats
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.engine.score_store import ScoreStore
from evaluations.models.loader import load
from evaluations.robustness import image_autoattack_run, image_explained, image_files
from evaluations.robustness.image_autoattack import EVALUATION, ImageAutoAttackParams
from evaluations.robustness.image_autoattack_scores import collect
from evaluations.spec import (
    EvaluationError,
    EvaluationResult,
    Metric,
    MetricStatus,
    Modality,
    ModelFormat,
    ModelRef,
    ShardState,
)
from tests.evaluations import kinds, make, vision

REF = ModelRef(
    path="/nowhere", digest="m", modality=Modality.IMAGE_CLASSIFIER, format=ModelFormat.SAFETENSORS
)
QUICK = {"epsilon": 0.1, "iterations": 10, "square_queries": 60}


@functools.cache
def plain() -> torch.nn.Module:
    images, truth = vision.digits()
    return vision.trained(vision.cnn(width=8), images[:1000], truth[:1000], epochs=6)


def run(
    network: Any,
    folder: Path,
    n: int = 60,
    classes: int = 10,
    images: torch.Tensor | None = None,
    truth: Any = None,
    **params: Any,
) -> EvaluationResult:
    """On n held-out digits, or on the images given."""
    if images is None:
        images, truth = (held[1000 : 1000 + n] for held in vision.digits())
    data = make.data_ref(vision.table_of(images, truth), folder, kinds.IMAGE_ROLES)
    asked = make.request(EVALUATION.name, data, REF, **{**QUICK, **params})
    model = vision.classifier(network, classes, images.shape[-1])
    return make.evaluate(EVALUATION, model, asked, folder)


def metric(result: EvaluationResult, name: str, slice: str = "all") -> Metric:
    (found,) = (m for m in result.metrics if (m.name, m.slice) == (name, slice))
    return found


def value(result: EvaluationResult, name: str, slice: str = "all") -> float:
    found = metric(result, name, slice).value
    assert found is not None
    return found


# --- known answers --------------------------------------------------------------------------------------


def test_robust_accuracy_of_a_linear_model_is_its_closed_form(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    weights = torch.tensor(rng.normal(size=16), dtype=torch.float32)
    images = torch.tensor(rng.integers(102, 154, (80, 1, 4, 4)) / 255, dtype=torch.float32)

    def network(units: torch.Tensor) -> torch.Tensor:
        score = (units - 0.5).flatten(1) @ weights
        return torch.stack([-score, score], dim=1)

    score = ((images - 0.5).flatten(1) @ weights).numpy()
    needed = np.sort(np.abs(score) / float(weights.abs().sum()))
    epsilon = float((needed[47] + needed[48]) / 2)  # between two images, so that rounding decides nothing
    truth = (score > 0).astype(int)
    truth[:8] = 1 - truth[:8]  # wrong before any change: not robust
    standing = (np.abs(score) > epsilon * float(weights.abs().sum())) & (np.arange(80) >= 8)
    result = run(network, tmp_path, classes=2, images=images, truth=truth, epsilon=epsilon, iterations=30)
    assert value(result, "clean_accuracy") == pytest.approx(72 / 80)
    assert value(result, "robust_accuracy") == pytest.approx(standing.mean())
    assert metric(result, "robust_accuracy").interval == stats.wilson(int(standing.sum()), 80)
    assert value(result, "unbounded_accuracy") == 0
    assert value(result, "gradient_masking_flags") == 0
    (note,) = [w for w in result.warnings if "targeted" in w]
    assert "2 classes" in note
    assert {m.slice for m in result.metrics if m.name == "accuracy_after"} == {
        "attack=apgd_ce",
        "attack=fab_t",
        "attack=square",
    }


def test_each_attack_leaves_no_more_than_the_one_before(tmp_path: Path) -> None:
    result = run(plain(), tmp_path)
    left = [value(result, "clean_accuracy")]
    for name in ("apgd_ce", "apgd_t", "fab_t", "square"):
        left.append(value(result, "accuracy_after", f"attack={name}"))
    assert left == sorted(left, reverse=True)
    assert left[0] > left[-1] == value(result, "robust_accuracy") > 0


def test_square_is_tried_alone_even_where_gradient_steps_left_nothing(tmp_path: Path) -> None:
    result = run(plain(), tmp_path, n=30, epsilon=0.5)
    assert value(result, "accuracy_after", "attack=apgd_ce") == 0
    assert value(result, "square_advantage") == 0  # it breaks them all too


def test_the_l2_norm_bounds_the_length_of_the_change(tmp_path: Path) -> None:
    result = run(plain(), tmp_path, norm="L2", epsilon=0.6)
    assert 0 < value(result, "robust_accuracy") < value(result, "clean_accuracy")
    assert max(example.facts["distance"] for example in result.examples) <= 0.6


def test_a_model_of_three_classes_meets_the_untargeted_loss(tmp_path: Path) -> None:
    images, truth = vision.digits()
    few = truth < 3
    images, truth = images[few], truth[few]
    network = vision.trained(vision.cnn(3, width=4), images[:300], truth[:300], epochs=4)
    result = run(network, tmp_path, classes=3, images=images[300:340], truth=truth[300:340])
    assert metric(result, "accuracy_after", "attack=apgd_dlr")
    assert "took its place" in " ".join(result.warnings)


def test_an_adversarially_trained_network_beats_its_plain_twin_by_20_points(tmp_path: Path) -> None:
    images, truth = vision.digits()
    hardened = vision.trained(
        vision.cnn(width=8), images[:1000], truth[:1000], epochs=12, epsilon=0.15, steps=4
    )
    standing = []
    for network in (hardened, plain()):
        outcomes = outcomes_of(network, tmp_path, n=200, epsilon=0.15)
        standing.append(outcomes.standing(outcomes.attacks))
    difference = stats.paired_proportions(*standing)
    assert difference.interval.low >= 0.20


# --- flags ----------------------------------------------------------------------------------------------


class Scaled(torch.nn.Module):
    """A network whose outputs are a thousand times as large: its cross-entropy is flat in 32 bits."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, units: torch.Tensor) -> torch.Tensor:
        return 1e3 * self.inner(units)


def test_a_network_that_masks_its_gradients_is_flagged_and_its_honest_twin_is_not(tmp_path: Path) -> None:
    masked = run(Scaled(plain()), tmp_path, square_queries=150)
    honest = run(plain(), tmp_path, square_queries=150)
    assert value(honest, "gradient_masking_flags") == 0
    assert all("has only" in w for w in honest.warnings)
    assert value(masked, "gradient_masking_flags") == 3
    assert any("Zero gradients" in w for w in masked.warnings)
    assert any("Square, which uses no gradients, beats" in w for w in masked.warnings)
    advantage = metric(masked, "square_advantage")
    assert advantage.interval is not None
    assert advantage.interval.low > 0.2  # the figure of gradient steps is too good by so much at least
    assert value(masked, "accuracy_after", "attack=apgd_ce") >= value(masked, "clean_accuracy") - 0.05
    assert value(masked, "robust_accuracy") == value(honest, "robust_accuracy")  # the cascade is not fooled


def test_a_softmax_too_many_is_flagged(tmp_path: Path) -> None:
    result = run(lambda units: torch.softmax(plain()(units), dim=1), tmp_path, n=20)
    assert any("raw outputs are expected" in w for w in result.warnings)
    assert value(result, "gradient_masking_flags") >= 1


def test_a_randomised_model_is_flagged(tmp_path: Path) -> None:
    torch.manual_seed(0)
    result = run(lambda units: plain()(units + 0.05 * torch.randn(units.shape)), tmp_path, n=20)
    assert any("Randomised" in w for w in result.warnings)


def test_an_attack_that_fails_without_a_bound_is_flagged(tmp_path: Path) -> None:
    result = run(lambda units: plain()(units.detach().round()) + 0 * units.sum(), tmp_path, n=30)
    assert value(result, "unbounded_accuracy") > 0.1
    assert value(result, "zero_gradients") == 1
    assert any("Without a bound" in w for w in result.warnings)


# --- what comes of it -----------------------------------------------------------------------------------


def test_examples_show_the_pair_and_successes_are_kept_as_files_that_still_mislead(tmp_path: Path) -> None:
    result = run(plain(), tmp_path)
    example = result.examples[0]
    assert example.kind == "image_attack"
    assert [p.title.split(",")[0] for p in example.pictures] == [
        "Before",
        "After",
        "Difference",
        "Attribution before",
        "Attribution after",
    ]
    before, after, apart = (
        image_files.read(base64.b64decode(p.png)).astype(int) for p in example.pictures[:3]
    )
    assert np.abs(after - before).max() == 25  # floor(0.1 · 255)
    times = int(example.pictures[2].title.split(", ")[1].split()[0])
    assert (apart == np.clip(128 + times * (after - before), 0, 255)).all()
    assert example.facts["answer_after"] != example.facts["true_label"] == example.facts["answer_before"]
    kept = pa.parquet.read_table(tmp_path / "artefacts" / "attacks.parquet")
    assert set(kept.column("kind").to_pylist()) == {"image_attack"}
    model = vision.classifier(plain(), 10)
    answers = model.predict_proba(kept.column("image").to_pylist()).probs.argmax(axis=1)
    assert (answers != np.array(kept.column("label").to_pylist(), dtype=int)).all()
    share = metric(result, "saved_successes")
    assert share.value == pytest.approx(len(kept) / share.n)


def test_an_image_that_cannot_be_read_counts_against_the_low_end_and_for_the_high_one(tmp_path: Path) -> None:
    images, truth = (held[1000:1060] for held in vision.digits())
    table = vision.table_of(images, truth)
    table.loc[3, "image"] = b"no image"
    data = make.data_ref(table, tmp_path, kinds.IMAGE_ROLES)
    asked = make.request(EVALUATION.name, data, REF, **QUICK)
    result = make.evaluate(EVALUATION, vision.classifier(plain(), 10), asked, tmp_path)
    robust = metric(result, "robust_accuracy")
    assert robust.value is not None
    standing = round(robust.value * 59)
    assert robust.interval is not None
    assert robust.interval.low == pytest.approx(stats.wilson(standing, 60).low)
    assert robust.interval.high == pytest.approx(stats.wilson(standing + 1, 60).high)
    assert (result.coverage.attempted, result.coverage.failed) == (60, 1)
    none = make.evaluate(
        EVALUATION,
        vision.classifier(plain(), 10),
        asked.model_copy(update={"params": {**QUICK, "max_error_rate": 0.0}}),
        tmp_path,
    )
    assert {m.status for m in none.metrics} == {MetricStatus.NOT_ESTIMABLE}


def test_a_model_that_is_always_wrong_leaves_nothing_to_attack(tmp_path: Path) -> None:
    images = vision.digits()[0][1000:1030]
    answers = plain()(images).argmax(1)
    result = run(plain(), tmp_path, images=images, truth=(answers + 1) % 10)
    assert value(result, "robust_accuracy") == value(result, "clean_accuracy") == 0
    assert metric(result, "zero_gradients").status is MetricStatus.NOT_ESTIMABLE
    for name in ("saved_successes", "square_advantage", "unbounded_accuracy", "gradient_masking_flags"):
        assert (
            metric(result, name).status is MetricStatus.NOT_ESTIMABLE
        )  # nothing was checked, nothing passes
    assert not result.examples


def test_too_few_checked_images_do_not_say_that_gradients_are_honest(tmp_path: Path) -> None:
    masked = Scaled(plain())
    few = run(masked, tmp_path, n=40, check_examples=5)
    assert metric(few, "gradient_masking_flags").status is MetricStatus.NOT_ESTIMABLE
    assert "takes 10" in metric(few, "gradient_masking_flags").reason
    assert any("Zero gradients" in w for w in few.warnings)  # what is seen is told all the same


def test_gradients_that_are_no_numbers_are_no_gradients(tmp_path: Path) -> None:
    def network(units: torch.Tensor) -> torch.Tensor:
        return (
            plain()(units)
            + (0 * units.sum((1, 2, 3)).detach() + 0 * (units.flatten(1).amin(1) * 0).sqrt())[:, None]
        )

    result = run(network, tmp_path, n=20)
    assert value(result, "zero_gradients") == 1
    assert value(result, "gradient_masking_flags") >= 2


def test_a_bound_above_the_whole_range_is_refused() -> None:
    with pytest.raises(ValueError, match="no change is larger than 1"):
        ImageAutoAttackParams(epsilon=8)
    assert ImageAutoAttackParams(norm="L2", epsilon=3)


@pytest.mark.parametrize("kind", ["resnet", "convnext", "mobilenet_v2"])
def test_convolutional_networks_of_transformers_are_attacked(kind: str, tmp_path: Path) -> None:
    ref = kinds.tiny_image_network(tmp_path / "model", kind, labels=("no", "yes", "maybe", "never", "always"))
    model: Any = load(ref)
    table = kinds.pictures(6)
    probs = model.predict_proba(list(table.image)).probs
    table["label"] = [model.labels[k] for k in probs.argmax(axis=1)]
    data = make.data_ref(table, tmp_path, kinds.IMAGE_ROLES)
    asked = make.request(EVALUATION.name, data, ref, epsilon=0.5, iterations=3, square_queries=5)
    result = make.evaluate(EVALUATION, model, asked, tmp_path)
    assert value(result, "clean_accuracy") == 1
    assert all(not p.requires_grad for p in model.network.parameters())


def test_images_of_different_sizes_are_attacked_each_at_its_own(tmp_path: Path) -> None:
    from transformers import ConvNextImageProcessorPil

    def network(units: torch.Tensor) -> torch.Tensor:
        score = 8 * (units.mean((1, 2, 3)) - 0.5)
        return torch.stack([-score, score], dim=1)

    model = vision.classifier(network, 2)
    model.prepare.processor = ConvNextImageProcessorPil(do_resize=False, do_normalize=False)
    table = vision.table_of(torch.full((6, 1, 8, 8), 153 / 255), [1] * 6)
    table["image"] = [vision.png(np.full((8 + i % 2, 8), 153)) for i in range(6)]
    data = make.data_ref(table, tmp_path, kinds.IMAGE_ROLES)
    for epsilon, left in ((0.09, 1.0), (0.11, 0.0)):  # the margin is 0.1
        asked = make.request(EVALUATION.name, data, REF, **{**QUICK, "epsilon": epsilon})
        assert value(make.evaluate(EVALUATION, model, asked, tmp_path), "robust_accuracy") == left


def test_a_cancel_is_heard_between_steps(tmp_path: Path) -> None:
    images, truth = (held[1000:1010] for held in vision.digits())
    ref = make.data_ref(vision.table_of(images, truth), tmp_path, kinds.IMAGE_ROLES)
    asked = make.request(EVALUATION.name, ref, REF, **QUICK)
    data = dataset.read(ref, Modality.IMAGE_CLASSIFIER)
    params = ImageAutoAttackParams.model_validate(asked.params)
    heard: list[bool] = []

    def cancelled() -> bool:
        heard.append(True)
        return len(heard) > 5

    ctx = Context(asked, tmp_path, is_cancelled=cancelled)
    (shard,) = EVALUATION.plan(10, params).shards
    with pytest.raises(EvaluationError) as error:
        EVALUATION.run_shard(vision.classifier(plain(), 10), data, params, ctx, shard)
    assert error.value.code == "cancelled"
    assert len(heard) == 6


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_autoattack_run, "VALUES", 3 * 64)  # three images at a time
    images, truth = (held[1000:1012] for held in vision.digits())
    ref = make.data_ref(vision.table_of(images, truth), tmp_path, kinds.IMAGE_ROLES)
    asked = make.request(EVALUATION.name, ref, REF, **QUICK)
    data, params = dataset.read(ref, Modality.IMAGE_CLASSIFIER), ImageAutoAttackParams(**QUICK)
    (shard,) = EVALUATION.plan(12, params).shards
    reported: list[int] = []

    def go(stopped_at: int, folder: Path) -> tuple[ShardState | None, int]:
        """The records, None where it was stopped after so many images, and the queries."""
        model = vision.classifier(plain(), 10)
        ctx = Context(
            asked,
            tmp_path,
            on_progress=lambda progress: reported.append(progress.done),
            is_cancelled=lambda: reported[-1:] == [stopped_at],
            store=ScoreStore(folder),
        )
        try:
            return EVALUATION.run_shard(model, data, params, ctx, shard), model.usage.queries
        except EvaluationError:
            return None, model.usage.queries
        finally:
            ctx.store.flush()

    whole, all_queries = go(99, tmp_path / "whole")
    stopped, some_queries = go(9, tmp_path / "scores")
    assert stopped is None
    reported.clear()
    rest, other_queries = go(99, tmp_path / "scores")
    assert whole is not None
    assert rest is not None
    assert rest.records.equals(whole.records)
    assert 0 < other_queries < all_queries
    assert other_queries + some_queries < 1.5 * all_queries


# --- hostile records ------------------------------------------------------------------------------------


def states_of(network: Any, folder: Path, n: int = 30, **params: Any) -> tuple[list[ShardState], Any]:
    images, truth = (held[1000 : 1000 + n] for held in vision.digits())
    ref = make.data_ref(vision.table_of(images, truth), folder, kinds.IMAGE_ROLES)
    asked = make.request(EVALUATION.name, ref, REF, **{**QUICK, **params})
    data = dataset.read(ref, Modality.IMAGE_CLASSIFIER)
    settings = ImageAutoAttackParams.model_validate(asked.params)
    ctx = Context(asked, folder)
    model = vision.classifier(network, 10)
    states = [
        EVALUATION.run_shard(model, data, settings, ctx, s) for s in EVALUATION.plan(n, settings).shards
    ]
    return states, (data, settings, ctx)


def outcomes_of(network: Any, folder: Path, n: int, **params: Any) -> Any:
    states, rest = states_of(network, folder, n, **params)
    return collect(states, *rest)


def changed(state: ShardState, column: str, change: Callable[[list[Any]], list[Any]]) -> ShardState:
    place = state.records.column_names.index(column)
    field = state.records.schema.field(column)
    values = pa.array(change(state.records.column(column).to_pylist()), field.type)
    return dataclasses.replace(state, records=state.records.set_column(place, field, values))


def test_what_a_run_claims_beyond_the_bound_or_against_the_probabilities_is_no_success(
    tmp_path: Path,
) -> None:
    (state,), rest = states_of(plain(), tmp_path)
    honest = collect([state], *rest)
    won = int((honest.attack != "").sum())
    assert won > 5
    far = collect([changed(state, "distance", lambda held: [d and 0.2 for d in held])], *rest)
    assert (far.attack == "").all()
    assert far.unconfirmed == won
    right = [[float(k == y) for k in range(10)] for y in honest.truth]
    held = collect([changed(state, "attacked_probs", lambda held: right)], *rest)
    assert (held.attack == "").all()


def test_a_model_that_falls_silent_under_attack_is_not_robust(tmp_path: Path) -> None:
    def network(units: torch.Tensor) -> torch.Tensor:
        odd = (units * 255 - (units * 255).round()).abs().flatten(1).amax(
            1
        ) > 1e-2  # no image that 8 bits hold
        return torch.where(odd[:, None], torch.nan, plain()(units))

    result = run(network, tmp_path, n=20, epsilon=0.0123)
    assert value(result, "clean_accuracy") > 0.8
    assert value(result, "robust_accuracy") == 0
    assert value(result, "square_advantage") == 0  # falling silent is as little a defence in the checks
    assert value(result, "unbounded_accuracy") == 0
    assert not result.examples


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("attack", lambda held: ["prayer"] * len(held)),
        ("zero_gradient", lambda held: [None] * len(held)),
        ("outputs", lambda held: [[1.0]] * len(held)),
        ("outputs", lambda held: [[1e40] * 10] * len(held)),
        ("after", lambda held: [value and b"GIF89a" for value in held]),
        ("after", lambda held: [value and vision.png(np.zeros((9, 8))) for value in held]),
        ("after", lambda held: [value and vision.png(np.full((8, 8), 77)) for value in held]),
        ("attacked_probs", lambda held: [value and [2.0] * 10 for value in held]),
    ],
)
def test_records_that_no_honest_run_writes_are_refused(column: str, change: Any, tmp_path: Path) -> None:
    (state,), (data, params, ctx) = states_of(plain(), tmp_path, n=12)
    with pytest.raises(EvaluationError) as error:
        EVALUATION.merge([changed(state, column, change)], data, params, ctx)
    assert error.value.code == "bad_records"


def test_the_plan_counts_what_explaining_the_shown_successes_asks() -> None:
    plain, explained = (
        EVALUATION.plan(100, ImageAutoAttackParams(explain=explain)) for explain in (False, True)
    )
    more = explained.expected_queries - plain.expected_queries
    assert more == image_files.SHOWN * image_explained.QUERIES
