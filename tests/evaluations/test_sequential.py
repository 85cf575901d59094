"""Sequential stopping: fewer questions, the same verdict, and nothing that an untrusted process could bend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from auditor.policies.rules import Demand, Measurement, Outcome, judge
from evaluations import catalogue, stats
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.engine import sequential
from evaluations.engine.stop_early import StopEarly
from evaluations.merge import merge_request
from evaluations.runner import run_request
from evaluations.spec import (
    EvaluationError,
    EvaluationResult,
    MetricStatus,
    Modality,
    Role,
    Shard,
    ShardState,
)
from tests.evaluations import make

CLASSIFICATION = catalogue.get("quality.classification")
ROWS = 3000
NAN = float("nan")


def table(n: int = ROWS, right: float = 0.9) -> pd.DataFrame:
    """Rows on which `make.logistic` is right in a share `right`."""
    rng = np.random.default_rng(5)
    rows = make.frame(n)
    hit = rng.random(n) < right
    return rows.assign(label=np.where((rows.x > 0) == hit, "yes", "no"))


def run(
    folder: Path,
    limit: float | None = 0.8,
    rows: pd.DataFrame | None = None,
    model: Any = None,
    seed: int = 7,
    **how: Any,
) -> tuple[EvaluationResult, Any]:
    model = model or make.Answering(make.logistic)
    params: dict[str, Any] = {} if limit is None else {"stop_early": {"limit": limit}}
    data = make.data_ref(table() if rows is None else rows, folder)
    asked = make.request("quality.classification", data, seed=seed, **params)
    return make.evaluate(CLASSIFICATION, model, asked, folder, **how), model


def test_a_clear_case_is_settled_with_few_questions(tmp_path: Path) -> None:
    result, model = run(tmp_path)
    asked = result.coverage.attempted
    assert asked == model.usage.queries < 300
    assert asked in sequential.looks(ROWS)
    accuracy = result.metrics[0]
    assert accuracy.n == asked
    assert accuracy.value is not None
    assert accuracy.interval == stats.bernoulli_sequence(round(accuracy.value * asked), asked)
    assert accuracy.interval.low >= 0.8
    assert f"Stopped early at n = {asked}" in result.warnings[-1]
    assert all(metric.interval is None for metric in result.metrics[1:])


def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    result, model = run(tmp_path, limit=None)
    assert model.usage.queries == result.coverage.attempted == ROWS
    assert result.metrics[0].interval is not None
    assert result.metrics[0].interval.method == "wilson"
    assert result.warnings == ()


def test_a_case_on_the_edge_asks_every_row_and_keeps_its_sequence(tmp_path: Path) -> None:
    result, model = run(tmp_path, limit=0.9)
    assert model.usage.queries == result.coverage.attempted == ROWS
    accuracy = result.metrics[0]
    assert accuracy.interval is not None
    assert accuracy.interval.method == "bernoulli_mixture_sequence"
    assert accuracy.interval.low < 0.9 < accuracy.interval.high
    assert "Asked all 3,000 examples" in result.warnings[-1]


@pytest.mark.parametrize(("limit", "outcome"), [(0.8, Outcome.PASS), (0.97, Outcome.FAIL)])
def test_the_policys_rule_comes_to_the_verdict_that_stopped_the_run(
    limit: float, outcome: Outcome, tmp_path: Path
) -> None:
    accuracy = run(tmp_path, limit)[0].metrics[0]
    assert accuracy.interval is not None
    measured = Measurement(accuracy.value, accuracy.interval.low, accuracy.interval.high, accuracy.n)
    assert judge(Demand(">=", limit, "interval", 1), measured).outcome is outcome


CUTS = [10, 16, 40, 100, 2000]


@pytest.mark.parametrize(
    "how",
    [{"cuts": CUTS}, {"cuts": CUTS, "killed_after": 3}, {"rows": table().sample(frac=1, random_state=1)}],
)
def test_shards_a_kill_and_the_order_of_the_file_change_nothing(how: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain, other = run(tmp_path / "a")[0], run(tmp_path / "b", **how)[0]
    assert plain.model_dump(exclude={"cost"}) == other.model_dump(exclude={"cost"})


def test_another_seed_asks_other_rows(tmp_path: Path) -> None:
    assert run(tmp_path)[0].metrics[6].value != run(tmp_path, seed=8)[0].metrics[6].value


def test_rows_in_clusters_are_refused(tmp_path: Path) -> None:
    data = make.data_ref(table(), tmp_path, {**make.TABULAR_ROLES, "sex": Role.CLUSTER})
    asked = make.request("quality.classification", data, stop_early={"limit": 0.8})
    with pytest.raises(EvaluationError, match="independent"):
        make.evaluate(CLASSIFICATION, make.Answering(make.logistic), asked, tmp_path)
    params = CLASSIFICATION.Params.model_validate(asked.params)
    read, ctx = dataset.read(data, Modality.TABULAR), Context(asked, tmp_path)
    with pytest.raises(EvaluationError, match="independent"):  # whatever the records say
        CLASSIFICATION.merge([], read, params, ctx)


def test_unanswered_rows_keep_a_run_from_settling(tmp_path: Path) -> None:
    result, model = run(tmp_path, model=make.Answering(make.never), rows=table(200))
    assert model.usage.queries == 200
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}


# --- an untrusted process ---------------------------------------------------------------------------


def records(folder: Path, rows: Sequence[int] | slice, limit: float = 0.8) -> EvaluationResult:
    """What `merge` makes of records of the positions `rows` of the seeded order."""
    data_ref = make.data_ref(table(), folder)
    asked = make.request("quality.classification", data_ref, stop_early={"limit": limit})
    params = CLASSIFICATION.Params.model_validate(asked.params)
    data, ctx = dataset.read(data_ref, Modality.TABULAR), Context(asked, folder)
    off = CLASSIFICATION.Params()
    shard = Shard(0, 0, ROWS)
    state = CLASSIFICATION.run_shard(make.Answering(make.logistic), data, off, ctx, shard)
    taken = sequential.seeded_order(data, ctx)[rows]
    state = ShardState(state.records.take(taken), state.counters)
    return CLASSIFICATION.merge([state], data, params, ctx)


def test_records_up_to_the_stop_are_taken(tmp_path: Path) -> None:
    stop = run(tmp_path)[0].coverage.attempted
    assert records(tmp_path, slice(stop)).coverage.attempted == stop


@pytest.mark.parametrize("shift", [-16, -1, 1, 16])
def test_records_that_end_elsewhere_are_refused(shift: int, tmp_path: Path) -> None:
    stop = run(tmp_path)[0].coverage.attempted
    with pytest.raises(EvaluationError, match="would not have stopped"):
        records(tmp_path, slice(stop + shift))


def test_records_of_chosen_rows_are_refused(tmp_path: Path) -> None:
    stop = run(tmp_path)[0].coverage.attempted
    for chosen in ([*range(1, stop + 1)], [*range(stop - 1), ROWS - 1], [*range(stop - 1), 0]):
        with pytest.raises(EvaluationError, match="one for one"):
            records(tmp_path, chosen)
    with pytest.raises(EvaluationError) as error:
        records(tmp_path, [])
    assert error.value.code == "bad_records"


# --- the rule ---------------------------------------------------------------------------------------


def one_by_one(rule: StopEarly, outcomes: np.ndarray, max_error_rate: float) -> int:
    """The first look at which the reported interval lies on one side of the limit."""
    for n in sequential.looks(len(outcomes)):
        seen = outcomes[:n]
        if np.isnan(seen).sum() > max_error_rate * n or np.isnan(seen).all():
            continue
        interval = sequential.rate(seen).interval
        if interval.low >= rule.limit or interval.high <= rule.limit:
            return int(n)
    return len(outcomes)


@pytest.mark.parametrize("limit", [0.01, 0.1, 0.5, 0.93])
def test_stops_of_many_runs_are_those_of_each_by_its_interval(limit: float) -> None:
    rng, rule = np.random.default_rng(3), StopEarly(limit=limit)
    outcomes = (rng.random((60, 700)) < rng.uniform(limit - 0.12, limit + 0.12, (60, 1))).astype(float)
    outcomes[rng.random(outcomes.shape) < 0.01] = NAN
    stops = sequential.stop_of(rule, outcomes, 0.02)
    assert stops.tolist() == [one_by_one(rule, row, 0.02) for row in outcomes]
    assert len(set(stops.tolist())) > 3


def test_what_comes_after_the_stop_does_not_move_it() -> None:
    rule = StopEarly(limit=0.5)
    outcomes = np.ones(400)
    stop = int(sequential.stop_of(rule, outcomes, 0.02))
    outcomes[stop:] = 0
    assert int(sequential.stop_of(rule, outcomes, 0.02)) == stop


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 1000, 99_999])
def test_looks_grow_and_end_with_all_rows(rows: int) -> None:
    sizes = sequential.looks(rows)
    assert sizes[-1] == rows
    assert (np.diff(sizes, prepend=0) >= 1).all()
    assert (np.diff(sizes) <= np.maximum(16, sizes[:-1] / 20)).all()


def test_unanswered_rows_widen_the_sequence_on_both_sides() -> None:
    outcomes = np.array([1.0] * 180 + [0.0] * 17 + [NAN] * 3)
    found = sequential.rate(outcomes)
    assert found.value == 180 / 197
    assert found.interval.low == stats.bernoulli_sequence(180, 200).low
    assert found.interval.high == stats.bernoulli_sequence(183, 200).high


def test_a_plan_asks_in_one_shard_and_names_what_it_can_show() -> None:
    params = CLASSIFICATION.Params.model_validate({"stop_early": {"limit": 0.9}})
    plan = CLASSIFICATION.plan(20_000, params)
    assert [(s.start, s.stop) for s in plan.shards] == [(0, 20_000)]
    fixed = CLASSIFICATION.plan(20_000, CLASSIFICATION.Params()).smallest_detectable_effect
    assert plan.smallest_detectable_effect is not None
    assert fixed is not None
    assert fixed < plan.smallest_detectable_effect < 2 * fixed


def test_the_effect_named_is_settled_as_often_as_planned() -> None:
    n, p = 1500, 0.7
    effect = stats.sequential_detectable_effect(n, 0.8, p)
    hits = np.random.default_rng(4).binomial(n, p, 2000)
    ends = stats.mixture_evidence(hits, n, p - effect)
    assert (ends >= np.log(20)).mean() == pytest.approx(0.8, abs=0.05)


# --- as a worker runs it ----------------------------------------------------------------------------


def test_a_run_of_the_command_line_stops_and_its_merge_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluations.runner._cancel_flag", lambda: lambda: False)
    rows, model = table(20_000), tmp_path / "model"
    model.mkdir()
    skops.io.dump(LogisticRegression().fit(rows[["x", "z"]], rows.label.astype(str)), model / "model.skops")
    ref = make.STAND_IN.model_copy(update={"path": str(model)})
    asked = make.request(
        "quality.classification", make.data_ref(rows, tmp_path), ref, stop_early={"limit": 0.8}
    )
    (tmp_path / "shards").mkdir()
    (tmp_path / "result").mkdir()
    run_request(asked, tmp_path / "shards")
    result = merge_request(asked, tmp_path / "shards", tmp_path / "result")
    assert result.cost.queries == result.coverage.attempted < 300
    assert result.params["stop_early"] == {"limit": 0.8}
