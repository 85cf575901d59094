"""efficiency.latency on a clock of its own: queues as queueing theory has them, quantiles as their definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.efficiency import latency_scores, timing
from evaluations.spec import EvaluationError, EvaluationResult, MetricStatus, Modality, ShardState
from tests.evaluations import make

LATENCY = catalogue.get("efficiency.latency")


class Clock:
    """Time that passes only when somebody waits or works."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Serving:
    """A model whose n-th call takes `service(n)` seconds of the clock."""

    modality, access, adapter, device = Modality.TABULAR, make.Answering.access, "stand_in/1", "cpu"
    columns, labels = ("x", "z"), ("no", "yes")

    def __init__(self, clock: Clock, service: Any) -> None:
        self.inner, self.clock, self.service, self.calls = make.Answering(make.logistic), clock, service, 0
        self.usage = self.inner.usage

    def predict_proba(self, rows: Any) -> Any:
        self.clock.now += self.service(self.calls)
        self.calls += 1
        return self.inner.predict_proba(rows)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def timed(folder: Path, clock: Clock, service: Any, **params: Any) -> tuple[ShardState, EvaluationResult]:
    asked = make.request(LATENCY.name, make.data_ref(make.frame(100), folder), **params)
    data = dataset.read(asked.data, Modality.TABULAR)
    parsed = LATENCY.Params.model_validate(asked.params)
    ctx = Context(asked, folder)
    state = timing.time_shard(Serving(clock, service), data, parsed, ctx)
    return state, LATENCY.merge([state], data, parsed, ctx)


def test_waiting_follows_lindleys_recursion(clock: Clock, tmp_path: Path) -> None:
    """The n-th wait is max(0, wait before + service before − gap): Lindley 1952."""
    state, _ = timed(tmp_path, clock, lambda n: 0.01, requests=400, load=0.8)
    arriving = latency_scores.collect([state]).of("arriving")
    wait, expected = 0.0, []
    for gap in np.diff(arriving.arrived, prepend=arriving.arrived[0]):
        wait = max(0.0, wait + (0.01 if expected else 0.0) - gap)
        expected.append(wait + 0.01)
    assert arriving.seconds == pytest.approx(expected)
    assert len(arriving.arrived) / arriving.arrived[-1] == pytest.approx(
        80, rel=0.15
    )  # .8 of a hundred a second


def test_the_mean_wait_is_that_of_pollaczek_and_khinchine(clock: Clock, tmp_path: Path) -> None:
    """M/D/1 at load ρ with service D: mean wait ρ·D/(2(1 − ρ))."""

    def ask(number: int) -> tuple[bool, int]:
        clock.now += 0.01
        return True, 0

    arrivals = np.cumsum(np.random.default_rng(0).exponential(0.01 / 0.7, 40_000))
    ctx = Context(make.request(LATENCY.name, make.data_ref(make.frame(10), tmp_path)), tmp_path)
    waits = [r.answered - r.arrived - 0.01 for r in timing._served_here(ask, arrivals, np.inf, ctx)]
    assert np.mean(waits) == pytest.approx(0.7 * 0.01 / (2 * 0.3), rel=0.05)


def test_one_stall_delays_those_behind_it(clock: Clock, tmp_path: Path) -> None:
    """Asking back to back would hide it: one slow answer of 400. Arriving requests do not wait for it to end."""
    stall = timing.WARM_UP + timing.BACK_TO_BACK + 100
    _, result = timed(tmp_path, clock, lambda n: 1.0 if n == stall else 0.001, requests=400, load=0.05)
    late = make.values(result)["latency_p90", "all"]
    assert late is not None
    assert late > 0.01


def test_quantiles_and_throughput_are_what_they_say(clock: Clock, tmp_path: Path) -> None:
    state, result = timed(tmp_path, clock, lambda n: 0.01 + 0.001 * (n % 7), requests=400)
    arriving = latency_scores.collect([state]).of("arriving").seconds
    found = {m.name: m for m in result.metrics}
    for share in (50, 90, 99):
        metric = found[f"latency_p{share}"]
        assert metric.value == np.sort(arriving)[int(np.ceil(share / 100 * 400)) - 1]
        assert metric.interval is not None
        assert metric.interval.low <= metric.value <= metric.interval.high
    calls = range(timing.WARM_UP, timing.WARM_UP + timing.BACK_TO_BACK)
    assert found["throughput"].value == pytest.approx(60 / sum(0.01 + 0.001 * (n % 7) for n in calls))
    assert found["time_to_first_token"].status is MetricStatus.NOT_ESTIMABLE
    assert result.coverage.attempted == 400


def test_a_late_quantile_takes_enough_requests(clock: Clock, tmp_path: Path) -> None:
    _, result = timed(tmp_path, clock, lambda n: 0.01, requests=367)
    found = {m.name: m for m in result.metrics}
    assert found["latency_p99"].status is MetricStatus.NOT_ESTIMABLE
    assert "at least 368" in found["latency_p99"].reason
    assert found["latency_p90"].value is not None


def test_the_time_limit_ends_the_timing_and_says_so(clock: Clock, tmp_path: Path) -> None:
    _, result = timed(tmp_path, clock, lambda n: 0.05, requests=4000, most_seconds=20)
    assert 0 < result.coverage.attempted < 400
    assert any("of 4000 requests" in warning for warning in result.warnings)


def test_requests_that_still_wait_when_the_time_ends_are_not_left_out(clock: Clock, tmp_path: Path) -> None:
    """Twice as many requests arrive as can be answered: half of them get no answer."""
    _, result = timed(tmp_path, clock, lambda n: 0.05, requests=4000, most_seconds=60, requests_per_second=40)
    found = {m.name: m for m in result.metrics}
    assert found["unanswered_rate"].value == pytest.approx(0.5, abs=0.05)
    assert found["latency_p90"].status is MetricStatus.NOT_ESTIMABLE


def test_no_answer_is_later_than_any(clock: Clock, tmp_path: Path) -> None:
    state, _ = timed(tmp_path, clock, lambda n: 0.01, requests=400)
    table = state.records
    ok = [
        i < table.num_rows - 8 for i in range(table.num_rows)
    ]  # two in a hundred of the arriving requests fail
    column = table.schema.get_field_index("ok")
    arriving = latency_scores.collect([ShardState(table.set_column(column, table.schema.field("ok"), [ok]))])
    asked = make.request(LATENCY.name, make.data_ref(make.frame(10), tmp_path))
    found = {m.name: m for m in latency_scores.measure(arriving, Modality.TABULAR, Context(asked, tmp_path))}
    assert found["latency_p99"].status is MetricStatus.NOT_ESTIMABLE
    assert found["latency_p90"].value is not None
    assert found["unanswered_rate"].value == 0.02


def test_hostile_records_are_refused(clock: Clock, tmp_path: Path) -> None:
    state, _ = timed(tmp_path, clock, lambda n: 0.01, requests=40)
    table = state.records
    column = table.schema.get_field_index("answered")
    for value in (-1.0, float("nan")):
        bad = table.set_column(column, table.schema.field("answered"), [[value] * table.num_rows])
        with pytest.raises(EvaluationError, match="impossible times"):
            latency_scores.collect([ShardState(bad)])
    with pytest.raises(EvaluationError, match="wrong columns"):
        latency_scores.collect([ShardState(table.drop_columns(["ok"]))])


def test_requests_without_an_answer_are_no_throughput_and_no_early_first_token() -> None:
    n, start = 60, np.arange(60.0)

    def asked(ok: np.ndarray) -> latency_scores.Timed:
        phase = np.full(n, "back_to_back")
        return latency_scores.Timed(phase, start, start + 0.5, ok, np.ones(n, np.int64))

    whole = latency_scores._throughput(asked(np.ones(n, bool)))
    half = latency_scores._throughput(asked(np.arange(n) % 2 == 0))
    assert whole.value == pytest.approx(2)
    assert half.value == pytest.approx(1)
    assert latency_scores._throughput(asked(np.arange(n) > 10)).value is None
    first = np.where(np.arange(n) < 20, 0.1, np.inf)  # 40 of 60 never came
    assert latency_scores._median("time_to_first_token", first, "").value is None


@pytest.mark.parametrize(("unanswered", "known"), [(0, (50, 90, 99)), (2, (50, 90)), (150, (50,)), (390, ())])
def test_requests_without_an_answer_are_later_than_any(
    unanswered: int, known: tuple[int, ...], tmp_path: Path
) -> None:
    n = 400
    spread = np.random.default_rng(0).permutation(n) >= unanswered
    arrived = np.arange(n) * 1.0
    took = np.random.default_rng(1).exponential(size=n)
    phase = np.full(n, "arriving")
    arriving = latency_scores.Timed(phase, arrived, arrived + took, spread, np.ones(n, np.int64))
    ctx = Context(make.request(LATENCY.name, make.data_ref(make.frame(10), tmp_path)), tmp_path)
    found = {share: latency_scores._quantile(arriving, share, ctx) for share in (50, 90, 99)}
    assert tuple(share for share, m in found.items() if m.value is not None) == known
    assert all("no answer" in m.reason for m in found.values() if m.value is None)
