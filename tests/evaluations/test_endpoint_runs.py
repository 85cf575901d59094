"""Whole runs against an endpoint: budgets lose nothing, a changed service is no evidence, answers are shared."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import evaluations
from evaluations.engine.direct import DirectTransport
from evaluations.engine.fingerprint import NAME
from evaluations.engine.transport import Ask, Reply
from evaluations.merge import merge_request
from evaluations.models import endpoint
from evaluations.runner import run_request
from evaluations.spec import (
    EvaluationError,
    EvaluationResult,
    MetricStatus,
    Modality,
    ModelFormat,
    ModelRef,
    RunRequest,
    Shard,
)
from tests.endpoint_server import Answer, Service, serving
from tests.evaluations import make

ROWS = 150
PROBED = 3  # requests that a fingerprint costs: two before, one after


@dataclass
class Predictor:
    """A REST predictor of `make.logistic`, one row a request; `shift` makes it another model."""

    shift: float = 0.0
    rows: Counter[str] = field(default_factory=Counter)

    def __call__(self, path: str, body: Any) -> Answer:
        xs = [row["x"] for row in body["instances"]]
        self.rows.update(f"{x!r}" for x in xs)
        ps = [1 / (1 + math.exp(-2 * (x + self.shift))) for x in xs]
        return 200, {}, {"predictions": [[1 - p, p] for p in ps]}


@pytest.fixture
def predictor() -> Predictor:
    return Predictor()


@pytest.fixture
def service(predictor: Predictor) -> Iterator[Service]:
    with serving(predictor) as found:
        yield found


def served(service: Service, folder: Path, **spec: Any) -> ModelRef:
    folder.mkdir(exist_ok=True)
    described = {"protocol": "rest", "url": service.url, "rest": {"rows_per_request": 1}, **spec}
    (folder / "endpoint.json").write_text(json.dumps(described))
    return ModelRef(
        path=str(folder),
        digest="served",
        modality=Modality.TABULAR,
        format=ModelFormat.ENDPOINT,
        labels=("no", "yes"),
    )


@pytest.fixture
def asked(service: Service, tmp_path: Path) -> RunRequest:
    data = make.data_ref(make.frame(ROWS), tmp_path, favourable_label="yes")
    return make.request("quality.classification", data, served(service, tmp_path / "model"))


def run(request: RunRequest, out: Path) -> None:
    out.mkdir(exist_ok=True)
    run_request(request, out)


def measured(request: RunRequest, out: Path) -> EvaluationResult:
    run(request, out)
    return merge_request(request, out, out)


@contextmanager
def budget(monkeypatch: pytest.MonkeyPatch, requests: int) -> Iterator[None]:
    """A broker's budget, on the way to the service."""
    left = requests

    class Counting(DirectTransport):
        async def send(self, ask: Ask) -> Reply:
            nonlocal left
            left -= 1
            if left < 0:
                return Reply(id=ask.id, refusal="budget_reached", message="The budget is used up.")
            return await super().send(ask)

    with monkeypatch.context() as patch:
        patch.setattr(endpoint, "_way", lambda spec: lambda: Counting(spec, ""))
        yield


def in_memory(request: RunRequest, out: Path) -> EvaluationResult:
    """The same model without a service."""
    from evaluations import catalogue

    return make.evaluate(catalogue.get(request.evaluation), make.Answering(make.logistic), request, out)


def test_a_run_measures_a_served_model_as_if_it_were_here(
    asked: RunRequest, predictor: Predictor, tmp_path: Path
) -> None:
    result = measured(asked, tmp_path / "out")
    assert make.values(result) == make.values(in_memory(asked, tmp_path / "other"))
    assert result.cost.queries == ROWS + 2 * 4  # and the probes before; those after belong to no shard
    assert len(result.environment["endpoint"]) == 64
    assert result.environment["device"] == "endpoint"
    assert max(predictor.rows.values()) <= 1 + PROBED


def test_a_budget_ends_a_run_with_its_reason_and_the_next_goes_on_from_there(
    asked: RunRequest, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with budget(monkeypatch, 60), pytest.raises(EvaluationError) as raised:
        run(asked, tmp_path / "first")
    assert raised.value.code == "budget_reached"
    assert not list((tmp_path / "first").glob("shard-*.json"))
    rows = predictor.rows.total()
    assert rows == 60
    again = asked.model_copy(update={"scores": str(tmp_path / "first" / "scores")})
    result = measured(again, tmp_path / "second")
    assert make.values(result) == make.values(in_memory(asked, tmp_path / "other"))
    # Probes come before the first run, before the second and after it, four rows each time; no row is asked twice.
    assert predictor.rows.total() == ROWS + 4 * (2 + 2 + 1)


def test_a_shard_in_which_the_budget_ran_out_is_never_complete(
    asked: RunRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also where an evaluation asks the model past the store."""
    from evaluations import catalogue, records
    from evaluations.spec import Plan, ShardState

    evaluation = catalogue.get("quality.classification")

    def past_the_store(self: Any, model: Any, data: Any, params: Any, ctx: Any, shard: Any) -> ShardState:
        rows = records.all_rows(data, shard)
        scores = model.predict_proba(data.inputs(rows, model.columns))
        return ShardState(records.table_of(data, rows, {}), {"errors": int(scores.errors.sum())})

    monkeypatch.setattr(type(evaluation), "run_shard", past_the_store)
    monkeypatch.setattr(type(evaluation), "plan", lambda self, rows, params: Plan((Shard(0, 0, rows),), rows))
    with budget(monkeypatch, 60), pytest.raises(EvaluationError, match="budget"):
        run(asked, tmp_path / "out")
    assert not list((tmp_path / "out").glob("shard-*.json"))


def test_a_service_that_changed_during_the_run_leaves_no_evidence(
    asked: RunRequest, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from evaluations import catalogue

    evaluation = catalogue.get("quality.classification")
    run_shard = type(evaluation).run_shard

    def changes(self: Any, *how: Any) -> Any:
        state = run_shard(self, *how)
        predictor.shift = 1.0
        return state

    monkeypatch.setattr(type(evaluation), "run_shard", changes)
    out = tmp_path / "out"
    with pytest.raises(EvaluationError) as raised:
        run(asked, out)
    assert raised.value.code == "endpoint_changed"
    assert not list(out.glob("shard-*"))
    assert not (out / "scores").exists()
    with pytest.raises(EvaluationError, match="cannot be used"):
        merge_request(asked, out, out)


def test_a_run_that_was_interrupted_is_not_finished_with_another_model(
    asked: RunRequest, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with budget(monkeypatch, 60), pytest.raises(EvaluationError, match="budget"):
        run(asked, out)
    predictor.shift = 1.0
    predictor.rows.clear()
    result = measured(asked, out)
    assert predictor.rows.total() >= ROWS  # what the other one had answered is of no use
    assert make.values(result) != make.values(in_memory(asked, tmp_path / "other"))


def test_shards_are_not_judged_before_the_service_is_known_to_be_the_same(
    asked: RunRequest, predictor: Predictor, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(asked, out)
    known = json.loads((out / NAME).read_text())
    assert known["confirmed"] is True
    (out / NAME).write_text(json.dumps({**known, "confirmed": False}))  # killed before the last probe
    with pytest.raises(EvaluationError) as raised:
        merge_request(asked, out, out)
    assert raised.value.code == "endpoint_unconfirmed"
    predictor.rows.clear()
    measured(asked, out)
    assert predictor.rows.total() == 8  # the probes alone: once to compare, once at the end


def test_a_second_evaluation_of_the_audit_asks_nothing_again(
    asked: RunRequest, predictor: Predictor, tmp_path: Path
) -> None:
    measured(asked, tmp_path / "first")
    predictor.rows.clear()
    second = asked.model_copy(
        update={"evaluation": "fairness.group", "scores": str(tmp_path / "first" / "scores")}
    )
    measured(second, tmp_path / "second")
    assert predictor.rows.total() == PROBED * 4


def test_a_model_that_names_labels_is_measured_by_them_and_calibration_is_skipped(tmp_path: Path) -> None:
    predict = Predictor()

    def labels(path: str, body: Any) -> Answer:
        _, _, found = predict(path, body)
        return 200, {}, {"predictions": ["yes" if p[1] > 0.5 else "no" for p in found["predictions"]]}

    data = make.data_ref(make.frame(ROWS), tmp_path, favourable_label="yes")
    with serving(labels) as service:
        ref = served(service, tmp_path / "model", rest={"gives": "labels"})
        result = measured(make.request("quality.classification", data, ref), tmp_path / "out")
        of_labels = make.values(
            in_memory(make.request("quality.classification", data, ref), tmp_path / "other")
        )
        for metric in result.metrics:
            if metric.name in ("auroc", "average_precision", "log_loss"):
                assert metric.status is MetricStatus.NOT_ESTIMABLE
                assert "no probabilities" in metric.reason
            else:
                assert metric.value == of_labels[metric.name, metric.slice]
        measured(make.request("fairness.group", data, ref), tmp_path / "group")
        with pytest.raises(EvaluationError, match="probs") as raised:
            run(make.request("quality.calibration", data, ref), tmp_path / "calibration")
        assert raised.value.skipped


def test_a_notebook_measures_an_endpoint_and_notices_a_change(
    service: Service, predictor: Predictor, tmp_path: Path
) -> None:
    ref = served(service, tmp_path / "model")
    table = make.frame(40)[["id", "x", "z", "label"]]

    def measure() -> Any:
        return evaluations.run(
            "quality.classification", ref, table, target="label", roles={"id": "id"}, progress=False
        )

    assert len(measure().metrics) > 0
    calls = 0
    plain: Callable[[str, Any], Answer] = service.handler

    def changes(path: str, body: Any) -> Answer:
        nonlocal calls
        calls += 1
        predictor.shift = 1.0 if calls > 30 else 0.0
        return plain(path, body)

    service.handler = changes
    with pytest.raises(EvaluationError, match="no longer answers as before"):
        measure()
