"""The numbers of efficiency.latency: quantiles, throughput, tokens, from the times of single requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import stats
from evaluations.charts.latency import latency_curve
from evaluations.efficiency.timing import SCHEMA
from evaluations.models.calling import WRITING
from evaluations.records import not_estimable
from evaluations.spec import Chart, Coverage, EvaluationError, Interval, Metric, Modality, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.efficiency.latency import LatencyParams

LONGEST = 1e9  # seconds of a clock
BLOCK = 20  # requests: neighbours wait for one another
PHASES = ("back_to_back", "first_token", "arriving")


@dataclass(frozen=True)
class Timed:
    """Requests of one phase after another. (n,) each."""

    phase: NDArray[np.str_]
    arrived: NDArray[np.float64]
    answered: NDArray[np.float64]
    ok: NDArray[np.bool_]
    tokens: NDArray[np.int64]

    def of(self, phase: str) -> Timed:
        here = self.phase == phase
        return Timed(
            *(getattr(self, name)[here] for name in ("phase", "arrived", "answered", "ok", "tokens"))
        )

    @property
    def seconds(self) -> NDArray[np.float64]:
        return self.answered - self.arrived

    @property
    def n(self) -> int:
        return len(self.phase)

    def coverage(self) -> Coverage:
        arriving = self.of("arriving")
        failed = int((~arriving.ok).sum())
        return Coverage(attempted=arriving.n, scored=arriving.n - failed, failed=failed)


def collect(states: Sequence[ShardState]) -> Timed:
    """The records, checked. Times are what the process with the model told: see the README of this area."""
    if len(states) != 1 or not states[0].records.schema.equals(SCHEMA):
        raise EvaluationError("bad_records", "The timing records have the wrong columns. Run it again.")
    table = states[0].records
    columns: dict[str, Any] = {
        name: table.column(name).to_numpy(zero_copy_only=False) for name in SCHEMA.names[1:]
    }
    timed = Timed(
        columns["phase"].astype(str),
        columns["arrived"].astype(np.float64),
        columns["answered"].astype(np.float64),
        columns["ok"].astype(bool),
        columns["tokens"].astype(np.int64),
    )
    if (
        any(column.null_count for column in table.columns)
        or not np.isin(timed.phase, PHASES).all()
        or not (np.abs([timed.arrived, timed.answered]) <= LONGEST).all()
        or (timed.seconds < 0).any()
        or (timed.tokens < 0).any()
    ):
        raise EvaluationError("bad_records", "The timing records hold impossible times. Run it again.")
    return timed


def measure(timed: Timed, modality: Modality, ctx: Context) -> list[Metric]:
    arriving = timed.of("arriving")
    return [
        *(_quantile(arriving, share, ctx) for share in (50, 90, 99)),
        _throughput(timed.of("back_to_back")),
        *_tokens(timed, modality),
        _unanswered(arriving),
    ]


def warnings(timed: Timed, params: LatencyParams) -> list[str]:
    arriving, found = timed.of("arriving"), []
    if 0 < arriving.n < params.requests:
        found.append(
            f"Timed {arriving.n} of {params.requests} requests: the time, or the rows that may be asked once each, "
            "ran out. Quantiles of few requests have no interval."
        )
    if arriving.n > 1:
        rate = arriving.n / max(1e-9, float(arriving.arrived.max()))
        found.append(
            f"Requests arrived at {rate:.3g} a second, at random (Poisson), whether others were done or not."
        )
    return found


def _quantile(arriving: Timed, share: int, ctx: Context) -> Metric:
    name, q = f"latency_p{share}", share / 100
    seconds = np.where(arriving.ok, arriving.seconds, np.inf)  # no answer is later than any
    if not arriving.n or not np.isfinite(value := stats.sample_quantile(seconds, q)):
        reason = "No request was timed." if not arriving.n else "Too many requests got no answer."
        return not_estimable(name, arriving.n, reason)
    ends = [stats.quantile_interval(seconds, q)]
    blocks: NDArray[np.int64] = np.arange(arriving.n) // BLOCK
    ends.append(stats.block_quantile_interval(seconds, blocks, q, ctx.rng(f"blocks:{name}")))
    if None in ends:
        needed = {50: 200, 90: 200, 99: 368}[share]
        reason = f"{arriving.n} requests are too few for this quantile: time at least {needed}."
        if arriving.n >= needed:
            reason = "Too many requests got no answer for an interval of this quantile."
        return not_estimable(name, arriving.n, reason)
    low, high = min(e.low for e in ends if e), max(e.high for e in ends if e)
    interval = Interval(low=low, high=high, method="block_bootstrap_or_order_statistics")
    return Metric(name=name, value=value, interval=interval, n=arriving.n)


def _throughput(asked: Timed) -> Metric:
    """Answers per second from the mean time per answer, blocks of six requests: neighbours are alike."""
    if asked.n < 12:
        return not_estimable("throughput", asked.n, "Fewer than 12 requests were asked back to back.")
    seconds, answers = (
        np.array([part.sum() for part in np.array_split(of, asked.n // 6)])
        for of in (asked.seconds, asked.ok)
    )
    if not answers.all():
        return not_estimable("throughput", asked.n, "Six requests in a row got no answer.")
    per_answer = stats.mean_interval(seconds / answers)
    value = float(answers.sum() / seconds.sum())
    interval = None
    if per_answer is not None and per_answer.low > 0:
        interval = Interval(
            low=min(value, 1 / per_answer.high), high=max(value, 1 / per_answer.low), method="t_over_blocks"
        )
    return Metric(name="throughput", value=value, interval=interval, n=asked.n)


def _tokens(timed: Timed, modality: Modality) -> list[Metric]:
    names = ("time_to_first_token", "time_per_token")
    if modality not in WRITING:
        return [not_estimable(name, 0, "The model writes no text.") for name in names]
    first, whole = timed.of("first_token"), timed.of("back_to_back")
    k = min(first.n, whole.n)
    pairs = (first.ok[:k] & whole.ok[:k]) & (whole.tokens[:k] > 1)
    each = (whole.seconds[:k] - first.seconds[:k])[pairs] / (whole.tokens[:k][pairs] - 1)
    return [
        _median(names[0], np.where(first.ok, first.seconds, np.inf), "No text was begun."),
        _median(names[1], each, "No text had more than one token."),
    ]


def _median(name: str, values: NDArray[np.float64], reason: str) -> Metric:
    interval = stats.quantile_interval(values, 0.5)
    if interval is None:
        few = reason if not len(values) else "Fewer than 6 requests, or too many without an answer."
        return not_estimable(name, len(values), few)
    return Metric(name=name, value=stats.sample_quantile(values, 0.5), interval=interval, n=len(values))


def _unanswered(arriving: Timed) -> Metric:
    if not arriving.n:
        return not_estimable("unanswered_rate", 0, "No request was timed.")
    failed = int((~arriving.ok).sum())
    return Metric(
        name="unanswered_rate",
        value=failed / arriving.n,
        interval=stats.clopper_pearson(failed, arriving.n),
        n=arriving.n,
    )


def charts(timed: Timed) -> list[Chart]:
    arriving = timed.of("arriving")
    return latency_curve(arriving.seconds[arriving.ok])
