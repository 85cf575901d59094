"""Sanity of explanations: a planted cause is found, a randomised network is told, noise and constants are not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.stats

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.explainability import attributing, emprt, listed, nearby, planted, sanity_scores
from evaluations.explainability.games import ImageGame, TextGame
from evaluations.explainability.randomised import fresh
from evaluations.models.loader import load
from evaluations.spec import EvaluationError, EvaluationResult, Metric, MetricStatus, Modality, ModelRef, Role
from evaluations.stats.proportions import wilson
from tests.evaluations import kinds, make

SANITY = catalogue.get("explainability.sanity")
TEXT = {"id": Role.ID, "text": Role.INPUT}
QUICK = {
    "method": "occlusion",
    "networks": 2,
    "repeated": 2,
    "seeds": 2,
    "nearby": 1,
    "steps": 2,
    "min_planted": 1,
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ModelRef]:
    ref = make.tiny_bert(tmp_path_factory.mktemp("bert"))
    return load(ref), ref


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ModelRef]:
    """A tiny BERT that has learnt which words praise."""
    import torch

    ref = make.tiny_bert(tmp_path_factory.mktemp("trained"))
    model: Any = load(ref)
    table = make.sentences(3000, seed=5)
    truth = np.array([model.labels.index(label) for label in table.label])
    ids = model.token_ids(list(table.text))
    network = model.network.requires_grad_(True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)
    for _ in range(600):
        rows = rng.integers(len(ids), size=32)
        held = {"input_ids": [ids[i] for i in rows], "attention_mask": [[1] * len(ids[i]) for i in rows]}
        batch = model.tokenizer.pad(held, return_tensors="pt")
        loss = torch.nn.functional.cross_entropy(network(**batch).logits, torch.from_numpy(truth[rows]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.requires_grad_(False)
    return model, ref


def run(
    held: tuple[Any, ModelRef], folder: Path, table: pd.DataFrame, roles: Any = None, **params: Any
) -> EvaluationResult:
    model, ref = held
    asked = make.request(SANITY.name, make.data_ref(table, folder, roles or TEXT), ref, **params)
    return make.evaluate(SANITY, model, asked, folder)


def named(result: EvaluationResult) -> dict[str, Metric]:
    return {metric.name: metric for metric in result.metrics}


def ends(metric: Metric) -> tuple[float, float]:
    assert metric.interval is not None
    return metric.interval.low, metric.interval.high


# --- formulas -------------------------------------------------------------------------------------


def test_complexity_is_the_entropy_of_the_histogram() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=30), rng.standard_t(2, size=400), np.array([0.0, 0, 0, 1])):
        wanted = scipy.stats.entropy(np.histogram(values, bins=100)[0])  # as Quantus computes it
        assert emprt.histogram_entropy(values) == pytest.approx(wanted)
        shares = scipy.stats.entropy(np.abs(values))
        assert emprt.share_entropy(values) == pytest.approx(shares)
    assert emprt.histogram_entropy(np.full(7, 0.3)) == 0
    for flat in (np.zeros(7), np.full(7, 0.3)):
        assert emprt.share_entropy(flat) == pytest.approx(np.log(7))


def test_change_under_nearby_inputs_agrees_with_captum() -> None:
    import torch
    from captum.metrics import sensitivity_max

    rng = np.random.default_rng(2)
    point, others = rng.normal(size=5), rng.normal(size=(4, 5))
    wanted = sensitivity_max(
        lambda x, **_: (x[0] ** 2,),
        torch.from_numpy(point[None]),
        perturb_func=lambda x: (torch.from_numpy(others),),
        n_perturb_samples=4,
    )
    got = nearby.largest_change(point**2, others**2) / np.linalg.norm(point**2)
    assert got == pytest.approx(float(wanted))


def test_two_draws_of_noise_show_no_rise_although_the_mean_of_their_ratios_does() -> None:
    rng = np.random.default_rng(3)
    before, after = rng.gamma(4, size=(2, 4000))
    assert (after / before).mean() > 1.2
    value, interval = listed.pooled_ratio(after, before, np.arange(4000) % 40, rng)
    assert interval is not None
    assert interval.low < 1 < interval.high
    assert value == pytest.approx(after.sum() / before.sum())


def test_an_unknown_example_widens_a_ratio() -> None:
    rng = np.random.default_rng(4)
    before, after = rng.gamma(4, size=(2, 50))
    _, whole = listed.pooled_ratio(after, before, np.arange(50), np.random.default_rng(0))
    before[7] = after[7] = np.nan
    _, holed = listed.pooled_ratio(after, before, np.arange(50), np.random.default_rng(0))
    assert whole is not None
    assert holed is not None
    assert holed.high - holed.low > whole.high - whole.low


# --- networks and inputs --------------------------------------------------------------------------


def test_random_networks_are_seeded_and_leave_the_model_and_torch_alone(bert: Any) -> None:
    import torch

    model, _ = bert
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    state = torch.random.get_rng_state()
    one, same, other = fresh(model, 1), fresh(model, 1), fresh(model, 2)
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = {name for name, value in before.items() if value.is_floating_point() and value.std() > 0}
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, before[name])
        assert torch.equal(one.network.state_dict()[name], same.network.state_dict()[name])
        if name in weights and value.ndim > 1:
            assert not torch.equal(one.network.state_dict()[name], value)
            assert not torch.equal(one.network.state_dict()[name], other.network.state_dict()[name])


def test_the_nearest_neighbour_of_a_token_is_the_one_of_the_smallest_angle(bert: Any) -> None:
    model, _ = bert
    neighbours = nearby.Neighbours(model)
    weights = model.network.get_input_embeddings().weight.detach().cpu().numpy().astype(float)
    for token in (20, 40, 80):
        norms = np.maximum(np.linalg.norm(weights, axis=1), 1e-9)  # that of the padding token is 0
        cosine = weights @ weights[token] / norms / norms[token]
        order = [
            int(i) for i in np.argsort(-cosine) if i not in model.tokenizer.all_special_ids and i != token
        ]
        assert neighbours.of(token) == order[0]


def test_nearby_inputs_differ_in_one_token_or_by_two_per_cent(bert: Any, tmp_path: Path) -> None:
    model, _ = bert
    rng = np.random.default_rng(0)
    game = TextGame(model, "a good film")
    other = nearby.nearby(game, nearby.Neighbours(model), rng)
    assert (other.ids != game.ids).sum() == 1
    assert sum(a != b for a, b in zip(game.features, other.features, strict=True)) == 1
    network: Any = load(kinds.tiny_image_network(tmp_path))
    image = ImageGame(network, kinds.picture(1))
    noisy = nearby.nearby(image, nearby.Neighbours(network), rng)
    moved = np.abs(noisy.pixels - image.pixels)
    assert 0 < moved.max() <= 0.02 * np.ptp(image.pixels) * 1.001


# --- what is measured -----------------------------------------------------------------------------


def constant(game: Any, target: int, rng: np.random.Generator) -> attributing.Attribution:
    """Values that depend on nothing at all."""
    return attributing.Attribution(np.ones(len(game.features)), 0.0, 0.0, 0)


def lengths(game: Any, target: int, rng: np.random.Generator) -> attributing.Attribution:
    """Values that depend on the words and not on the model."""
    return attributing.Attribution(np.array([float(len(f)) for f in game.features]), 0.0, 0.0, 0)


@pytest.mark.slow
def test_complexity_rises_in_random_networks_unless_the_attribution_ignores_the_model(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = QUICK | {"networks": 8, "max_evals": 100}
    plain = named(run(trained, tmp_path, make.sentences(120), **how))
    assert ends(plain["emprt"])[0] > 0
    shap = named(run(trained, tmp_path, make.sentences(120), **(how | {"method": "auto"})))
    for real in (plain, shap):  # Shapley values of ten tokens fill ten of a hundred bins, before and after
        assert ends(real["emprt_shares"])[0] > 0
        assert (real["emprt_risen"].value or 0) > 0.5

    noise = named(run(trained, tmp_path, make.sentences(60), **(how | {"method": "random"})))
    for name in ("emprt", "emprt_shares"):
        assert ends(noise[name])[0] <= 0 <= ends(noise[name])[1]
    assert ends(noise["emprt_risen"])[0] < 0.5

    for fixed in (lengths, constant):
        monkeypatch.setitem(attributing.EXPLAINERS, "occlusion", fixed)
        got = named(run(trained, tmp_path, make.sentences(30), **how))
        assert not (got["emprt"].value or 0) > 0
        assert got["emprt_shares"].value == pytest.approx(0)
        assert ends(got["emprt_risen"])[1] < 0.5
        assert ends(got["shortcut_learnt"])[1] < 0.9 or ends(got["shortcut_precision"])[1] < 0.5


@pytest.mark.slow
def test_a_planted_shortcut_is_found_and_a_model_that_ignores_it_scores_at_chance(
    bert: Any, tmp_path: Path
) -> None:
    how = QUICK | {"steps": 300, "learning_rate": 1e-3, "min_planted": 100, "method": "auto"}
    how["max_evals"] = 60
    result = run(bert, tmp_path, make.sentences(120), **how)
    got = named(result)
    assert got["shortcut_precision"].n >= 100
    assert ends(got["shortcut_precision"])[0] >= 0.8
    chance = got["shortcut_chance"].value
    assert chance is not None
    assert ends(got["shortcut_untaught"])[0] <= chance <= ends(got["shortcut_untaught"])[1]
    low, high = ends(got["shortcut_without"])
    assert low <= 0.5 <= high
    for example in result.examples:
        (heat,) = example.heat
        top = heat.features[int(np.argmax(heat.values))]
        assert (len(top) == 1) is (
            example.facts["planted_sign_named_first"] == "yes"
        )  # here signs are letters
    # Attributions that do not depend on the model find it by chance, in the same copy.
    noise = named(run(bert, tmp_path, make.sentences(120), **(how | {"method": "random"})))
    assert ends(noise["shortcut_precision"])[0] <= chance <= ends(noise["shortcut_precision"])[1]


@pytest.mark.slow
def test_a_planted_patch_is_found_in_images(tmp_path: Path) -> None:
    ref = kinds.tiny_image_network(tmp_path / "resnet", "resnet")
    roles = {"id": Role.ID, "image": Role.INPUT}
    table = kinds.pictures(24).drop(columns="label")
    how = QUICK | {"steps": 300, "learning_rate": 3e-3}
    got = named(run((load(ref), ref), tmp_path, table, roles, **how))
    assert got["shortcut_learnt"].value == 1
    assert ends(got["shortcut_precision"])[0] > 0.8


@pytest.mark.parametrize("removal", ["mask", "delete"])
def test_a_shortcut_that_was_not_learnt_is_said(bert: Any, tmp_path: Path, removal: str) -> None:
    how = QUICK | {"learning_rate": 1e-9, "removal": removal}
    got = named(run(bert, tmp_path, make.sentences(8), **how))
    assert got["shortcut_precision"].status is MetricStatus.NOT_ESTIMABLE
    assert "Raise the steps" in got["shortcut_precision"].reason
    assert got["emprt"].value is not None
    assert got["seed_correlation"].value == 1


def test_a_cancelled_run_ends_before_the_next_explanation(
    bert: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ref = bert
    made: list[int] = []

    def counted(game: Any, target: int, rng: np.random.Generator) -> attributing.Attribution:
        made.append(target)
        return constant(game, target, rng)

    monkeypatch.setitem(attributing.EXPLAINERS, "occlusion", counted)
    asked = make.request(SANITY.name, make.data_ref(make.sentences(4), tmp_path, TEXT), ref, **QUICK)
    params = SANITY.Params.model_validate(asked.params)
    data = dataset.read(asked.data, Modality.TEXT_CLASSIFIER)
    (shard,) = SANITY.plan(data.rows, params).shards
    with pytest.raises(EvaluationError) as error:
        SANITY.run_shard(
            model, data, params, Context(asked, tmp_path, is_cancelled=lambda: bool(made)), shard
        )
    assert error.value.code == "cancelled"
    assert len(made) == 1


def test_flat_explanations_agree_with_nothing(
    bert: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(attributing.EXPLAINERS, "occlusion", constant)
    result = run(bert, tmp_path, make.sentences(8), **QUICK)
    assert named(result)["seed_correlation"].status is MetricStatus.NOT_ESTIMABLE
    assert any("occlusion draws nothing" in said for said in result.warnings)


def test_a_sign_that_is_named_without_teaching_too_says_nothing() -> None:
    def told(taught: float, untaught: float) -> list[str]:
        rates = {"shortcut_precision": taught, "shortcut_untaught": untaught}
        metrics = [
            Metric(name=name, value=p, interval=wilson(p * 100, 100), n=100) for name, p in rates.items()
        ]
        found: Any = SimpleNamespace(ids=["a"] * 120, skipped=np.zeros(120, dtype=bool))
        return sanity_scores.warnings(found, SANITY.Params(), metrics)  # type: ignore[arg-type]

    assert told(0.95, 0.1) == []
    (said,) = told(0.95, 0.93)
    assert "never taught" in said


def test_a_tie_with_the_planted_sign_does_not_count_as_found() -> None:
    assert planted.found_first(np.array([0.1, 0.4, 0.3]), 1)
    assert not planted.found_first(np.array([0.4, 0.4, 0.3]), 1)
    assert not planted.found_first(np.array([0.5, 0.4, 0.3]), 1)


ODD = {
    "empty": "",
    "one token": "good",
    "emoji": "🎬🍿👩‍👩‍👧‍👦",
    "right to left": "هذا فيلم جيد",
    "Chinese": "中文電影很好看",
    "10,000 words": "good film " * 5000,
}


@pytest.mark.parametrize("what", ODD)
def test_odd_texts_end_with_typed_statuses(bert: Any, what: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["a", "b"], "text": [ODD[what]] * 2})
    result = run(bert, tmp_path, table, **QUICK)
    assert all(m.value is not None or m.reason for m in result.metrics)
    assert result.coverage.failed == 0
    if what in ("empty", "one token"):
        assert result.coverage.skipped == 2
        assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}


def test_forged_numbers_are_refused(bert: Any, tmp_path: Path) -> None:
    model, ref = bert
    asked = make.request(SANITY.name, make.data_ref(make.sentences(5), tmp_path, TEXT), ref, **QUICK)
    params: Any = SANITY.Params.model_validate(asked.params)
    data = dataset.read(asked.data, Modality.TEXT_CLASSIFIER)
    ctx = Context(asked, tmp_path)
    (shard,) = SANITY.plan(data.rows, params).shards
    state = SANITY.run_shard(model, data, params, ctx, shard)
    sanity_scores.collect([state], data, params, ctx)
    for name, change in {
        "randomised": lambda held: [float("inf")] * len(held),
        "seeds": lambda held: [*held, 0.0],
        "nearby": lambda held: held[1:] or [0.0],
        "planted": lambda held: held[:-1],
        "planted_probs": lambda held: [7.0] * len(held),
    }.items():
        column = state.records.column_names.index(name)
        field = state.records.schema.field(column)
        forged = pa.array([change(value) for value in state.records.column(column).to_pylist()], field.type)
        records = state.records.set_column(column, field, forged)
        with pytest.raises(EvaluationError) as error:
            sanity_scores.collect([type(state)(records)], data, params, ctx)
        assert error.value.code == "bad_records", name
