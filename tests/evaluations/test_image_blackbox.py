"""robustness.image_blackbox: a closed form, what is sent, budgets of services, and hostile records."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from evaluations import stats
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.models.endpoint import load
from evaluations.models.protocol import Scores
from evaluations.robustness.image_blackbox import EVALUATION, ImageBlackBoxParams
from evaluations.spec import (
    EvaluationError,
    EvaluationResult,
    Metric,
    MetricStatus,
    Modality,
    ModelFormat,
    ModelRef,
    Role,
    ShardState,
)
from tests.endpoint_server import Answer, serving
from tests.evaluations import kinds, make, vision
from tests.evaluations.cases.robustness_image_blackbox import Bright

REF = ModelRef(path="/nowhere", digest="m", modality=Modality.IMAGE_CLASSIFIER, format=ModelFormat.ONNX)


def brightness(levels: np.ndarray) -> float:
    """p(yes) rises with the mean of the image, and is ½ at a mean of 128."""
    return float(1 / (1 + np.exp(-(levels.astype(float).mean() - 128) / 4)))


def flat(level: int, side: int = 4) -> bytes:
    return vision.png(np.full((side, side), level))


def in_colour(file: bytes) -> bytes:
    changed = io.BytesIO()
    Image.open(io.BytesIO(file)).convert("RGB").save(changed, "PNG")
    return changed.getvalue()


def table(levels: Sequence[int]) -> Any:
    import pandas as pd

    return pd.DataFrame(
        {
            "id": [f"f{i:02d}" for i in range(len(levels))],
            "image": [flat(level) for level in levels],
            "label": ["yes" if level > 128 else "no" for level in levels],
        }
    )


def run(model: Any, folder: Path, data: Any, **params: Any) -> EvaluationResult:
    ref = make.data_ref(data, folder, kinds.IMAGE_ROLES)
    return make.evaluate(EVALUATION, model, make.request(EVALUATION.name, ref, REF, **params), folder)


def metric(result: EvaluationResult, name: str) -> Metric:
    (found,) = (m for m in result.metrics if m.name == name)
    return found


def test_a_model_of_the_mean_yields_exactly_where_its_margin_says(tmp_path: Path) -> None:
    # at most 5 levels in every value: an image of one level withstands beyond 133 and below 123
    levels = [119, 121, 122, 124, 126, 127, 129, 131, 132, 134, 137, 140]
    result = run(Bright(brightness), tmp_path, table(levels), epsilon=5.9 / 255, queries=400)
    assert metric(result, "original_accuracy").value == 1
    assert metric(result, "robust_accuracy").value == pytest.approx(6 / 12)
    assert metric(result, "attack_success_rate").value == pytest.approx(6 / 12)
    assert metric(result, "attack_success_rate").interval == stats.wilson(6, 12)
    asked = metric(result, "queries").value
    assert asked is not None
    assert 200 < asked < 400  # those that withstand use the whole budget
    rows = result.charts[0].rows
    assert rows[-1][:2] == (400, 0.5)
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)


def test_what_is_sent_are_png_files_of_the_originals_size_and_kind_within_the_bound(tmp_path: Path) -> None:
    seen: list[np.ndarray] = []

    def watching(levels: np.ndarray) -> float:
        seen.append(levels)
        return 0.9

    data = kinds.pictures(2)
    data["label"] = "yes"
    data.loc[1, "image"] = kinds.picture(5, 20, 31, "JPEG", "L")
    result = run(Bright(watching), tmp_path, data, epsilon=0.05, queries=6)
    assert {image.shape for image in seen} == {(48, 40, 3), (31, 20)}
    assert (seen[2] == seen[0]).all()  # first the pixels as they are
    assert (seen[3] == seen[1]).all()
    for image in seen[4:]:
        original = seen[0] if image.ndim == 3 else seen[1]
        apart = np.abs(image.astype(int) - original)
        assert 0 < apart.max() <= 12  # floor(0.05 · 255)
    assert len(seen) == 2 + 2 + 2 * 6
    assert metric(result, "queries").value == 6


def test_a_success_that_does_not_hold_when_asked_again_is_a_failure(tmp_path: Path) -> None:
    asked: list[int] = []

    def moody(levels: np.ndarray) -> float:
        asked.append(1)
        return 0.1 if len(asked) == 3 else 0.9  # the third answer alone is wrong

    result = run(Bright(moody), tmp_path, table([200]), queries=10)
    assert metric(result, "robust_accuracy").value == 1
    assert any("did not hold" in w for w in result.warnings)


def test_queries_without_an_answer_are_spent_and_an_image_with_none_is_an_error(tmp_path: Path) -> None:
    asked: list[int] = []

    def failing(levels: np.ndarray) -> float:
        asked.append(1)
        return 0.9 if len(asked) <= 4 else np.nan

    result = run(Bright(failing), tmp_path, table([200, 210]), queries=4)
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}
    assert result.coverage.failed == 2
    assert len(asked) == 4 + 8


def test_what_saving_a_file_anew_changes_is_no_success_of_the_attack(tmp_path: Path) -> None:
    sent: list[bytes] = []

    class Transparent(Bright):
        """Goes by an image's transparency, which no changed image has."""

        def predict_proba(self, rows: Sequence[bytes]) -> Scores:
            sent.extend(rows)
            return super().predict_proba(rows)

    clear = io.BytesIO()
    Image.new("RGBA", (4, 4), (200, 200, 200, 0)).save(clear, "PNG")
    data = table([200, 210])
    data.loc[0, "image"] = clear.getvalue()
    model = Transparent(lambda levels: 0.9 if levels.shape[-1] == 4 or levels.mean() > 205 else 0.1)
    result = run(model, tmp_path, data, queries=6, epsilon=1 / 255)
    assert metric(result, "original_accuracy").value == 0.5
    assert metric(result, "attack_success_rate").value == 0
    assert len(sent) == 2 + 2 + 6


def test_examples_and_kept_attacks_are_what_the_model_was_sent(tmp_path: Path) -> None:
    result = run(Bright(brightness), tmp_path, table([126, 130]), epsilon=5 / 255, queries=200)
    assert len(result.examples) == 2
    assert [p.title.split(",")[0] for p in result.examples[0].pictures] == ["Before", "After", "Difference"]
    # nothing more: of a model that only answers to files no attribution is asked
    kept = pa.parquet.read_table(tmp_path / "artefacts" / "attacks.parquet")
    model = Bright(brightness)
    answers = model.predict_proba(kept.column("image").to_pylist()).probs.argmax(axis=1)
    assert [model.labels[k] for k in answers] == ["yes", "no"]
    assert kept.column("label").to_pylist() == ["no", "yes"]
    assert kept.column("original_id").to_pylist() == ["f00", "f01"]


def test_rows_that_hang_together_are_worth_less(tmp_path: Path) -> None:
    data = table([124, 126, 140, 150] * 6).assign(person=np.repeat(np.arange(6), 4))
    data["id"] = [f"f{i:02d}" for i in range(24)]
    ref = make.data_ref(data, tmp_path, {**kinds.IMAGE_ROLES, "person": Role.CLUSTER})
    asked = make.request(EVALUATION.name, ref, REF, queries=30)
    interval = metric(
        make.evaluate(EVALUATION, Bright(brightness), asked, tmp_path), "robust_accuracy"
    ).interval
    assert interval is not None
    assert interval.method == "wilson_clustered"


class Limited(Bright):
    """A service whose budget ends after so many requests."""

    question = identity = ""
    at_once = 8

    def __init__(self, left: int) -> None:
        super().__init__(brightness)
        self.left = left
        self.stopped: EvaluationError | None = None

    def predict_proba(self, rows: Sequence[bytes]) -> Scores:
        scores = super().predict_proba(rows)
        self.left -= len(rows)
        if self.left < 0:
            self.stopped = EvaluationError("budget_reached", "The budget is spent.")
            return Scores.checked(np.full((len(rows), 2), np.nan))
        return scores

    def probe(self, data: Any) -> dict[str, Any]:
        return {}


def test_a_budget_that_runs_out_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError) as error:
        run(Limited(20), tmp_path, table([200, 210, 220]), queries=50)
    assert error.value.code == "budget_reached"


def test_a_service_behind_rest_is_attacked_like_a_model_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDITOR_ENDPOINT_KEY", raising=False)

    def answer(path: str, body: Any) -> Answer:
        given = [brightness(vision.levels_of(base64.b64decode(row["b64"]))) for row in body["instances"]]
        return 200, {}, {"predictions": [[1 - p, p] for p in given]}

    data, how = table([122, 126, 130, 140]), {"epsilon": 5 / 255, "queries": 100}
    with serving(answer) as service:
        described = {"schema": "endpoint/1", "protocol": "rest", "url": service.url, "model": "", "rest": {}}
        (tmp_path / "endpoint.json").write_text(json.dumps(described))
        ref = ModelRef(
            path=str(tmp_path),
            digest="d",
            modality=Modality.IMAGE_CLASSIFIER,
            format=ModelFormat.ENDPOINT,
            labels=("no", "yes"),
        )
        model: Any = load(tmp_path, ref)
        try:
            remote = run(model, tmp_path, data, **how)
        finally:
            model.client.close()
    local = run(Bright(brightness), tmp_path, data, **how)
    assert remote.metrics == local.metrics
    assert remote.examples == local.examples


def states_of(folder: Path) -> tuple[ShardState, Any]:
    ref = make.data_ref(table([120, 126, 130, 140]), folder, kinds.IMAGE_ROLES)
    asked = make.request(EVALUATION.name, ref, REF, epsilon=5 / 255, queries=200)
    data = dataset.read(ref, Modality.IMAGE_CLASSIFIER)
    params = ImageBlackBoxParams.model_validate(asked.params)
    ctx = Context(asked, folder)
    (shard,) = EVALUATION.plan(4, params).shards
    return EVALUATION.run_shard(Bright(brightness), data, params, ctx, shard), (data, params, ctx)  # type: ignore[arg-type]


def changed(state: ShardState, column: str, change: Callable[[Any], Any]) -> ShardState:
    place = state.records.column_names.index(column)
    held = state.records.column(column)
    values = pa.array([change(value) for value in held.to_pylist()], held.type)
    return dataclasses.replace(
        state, records=state.records.set_column(place, state.records.schema.field(column), values)
    )


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("attacked", lambda file: file and b"not an image"),
        ("attacked", lambda file: file and flat(130, side=5)),
        ("attacked", lambda file: file and flat(250)),
        ("attacked", lambda file: file and kinds.picture(0, 4, 4)),
        ("attacked", lambda file: file and in_colour(file)),
        ("queries", lambda queries: queries + 1_000),
        ("queries", lambda queries: -1),
        ("attacked_probs", lambda probs: probs and [0.4, 0.4]),
    ],
)
def test_records_that_no_honest_run_writes_are_refused(column: str, change: Any, tmp_path: Path) -> None:
    state, (data, params, ctx) = states_of(tmp_path)
    assert metric(EVALUATION.merge([state], data, params, ctx), "attack_success_rate").value == 0.5
    with pytest.raises(EvaluationError) as error:
        EVALUATION.merge([changed(state, column, change)], data, params, ctx)
    assert error.value.code == "bad_records"
