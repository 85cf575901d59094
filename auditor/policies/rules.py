"""What the numbers mean: the outcome of a control and the verdict of a policy. Pure: no database, no clock."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Outcome(StrEnum):
    """What a control came to. Ordered from worst to best by `SEVERITY_OF`."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_ASSESSED = "not_assessed"
    NOT_APPLICABLE = "not_applicable"


WORST_FIRST = (
    Outcome.FAIL,
    Outcome.NOT_ASSESSED,
    Outcome.INCONCLUSIVE,
    Outcome.PASS,
    Outcome.NOT_APPLICABLE,
)


MOST_TIMES = 1000  # the examples: no number is named for what would take more


class VerdictName(StrEnum):
    MEETS = "meets"
    MEETS_WITH_ACCEPTED_RISK = "meets_with_accepted_risk"
    INCOMPLETE = "incomplete"
    DOES_NOT_MEET = "does_not_meet"


@dataclass(frozen=True)
class Demand:
    """The part of a control that decides: a limit, and what it is held against."""

    comparison: Literal[">=", "<="]
    limit: float
    decide_by: Literal["interval", "point"]
    min_n: int


@dataclass(frozen=True)
class Measurement:
    """A measured value with its two-sided interval; `status` other than ok carries no numbers."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    status: str = "ok"


@dataclass(frozen=True)
class Judged:
    """An outcome, why (a stable code) and, for an inconclusive, about how many more examples would settle it."""

    outcome: Outcome
    reason: str
    more_examples: int | None = None


@dataclass(frozen=True)
class Result:
    """A judged control on one slice, as the verdict sees it."""

    control: str
    slice: str
    outcome: Outcome
    required: bool


@dataclass(frozen=True)
class WaiverInForce:
    """An accepted risk that covers one control on one slice at the time of judgement."""

    control: str
    slice: str


def judge(demand: Demand, measured: Measurement | None) -> Judged:
    """The outcome of one control.

    Pass if the unfavourable end of the interval meets the limit, fail if the favourable end
    violates it, else inconclusive. What was not measured, or on too few examples, is
    not_assessed: missing is never a pass, and errored is not failed.
    """
    if measured is None:
        return Judged(Outcome.NOT_ASSESSED, "no_valid_run")
    if measured.status != "ok" or measured.value is None:
        return Judged(Outcome.NOT_ASSESSED, measured.status if measured.status != "ok" else "no_value")
    if measured.n < demand.min_n:
        return Judged(Outcome.NOT_ASSESSED, "too_few_examples", demand.min_n - measured.n)
    if demand.decide_by == "point":
        kept = _keeps(demand, measured.value)
        return Judged(Outcome.PASS if kept else Outcome.FAIL, "point_value")
    if measured.low is None or measured.high is None:
        return Judged(Outcome.NOT_ASSESSED, "no_interval")
    worst, best = (
        (measured.low, measured.high) if demand.comparison == ">=" else (measured.high, measured.low)
    )
    if _keeps(demand, worst):
        return Judged(Outcome.PASS, "interval_keeps_limit")
    if not _keeps(demand, best):
        return Judged(Outcome.FAIL, "interval_violates_limit")
    return Judged(Outcome.INCONCLUSIVE, "interval_straddles_limit", _examples_to_settle(demand, measured))


def verdict(results: Sequence[Result], waivers: Collection[WaiverInForce] = ()) -> VerdictName:
    """The verdict of a policy over its required controls: an intersection-union test, so no correction."""
    covered = {(w.control, w.slice) for w in waivers}
    required = [r for r in results if r.required and r.outcome is not Outcome.NOT_APPLICABLE]
    failed = [r for r in required if r.outcome is Outcome.FAIL]
    open_ = [r for r in required if r.outcome in (Outcome.INCONCLUSIVE, Outcome.NOT_ASSESSED)]
    if any((r.control, r.slice) not in covered for r in failed):
        return VerdictName.DOES_NOT_MEET
    if not required or any((r.control, r.slice) not in covered for r in open_):
        return VerdictName.INCOMPLETE
    return VerdictName.MEETS_WITH_ACCEPTED_RISK if failed or open_ else VerdictName.MEETS


def _keeps(demand: Demand, number: float) -> bool:
    return number >= demand.limit if demand.comparison == ">=" else number <= demand.limit


def _examples_to_settle(demand: Demand, measured: Measurement) -> int | None:
    """About how many more examples, if the value stays: an interval's half-width shrinks with 1/sqrt(n).

    Where the value is an end of its interval, as of a rate without events, the other end comes nearer with 1/n. The
    side that must clear the limit counts. None where the value is so near the limit that
    more than a thousand times the examples would be needed.
    """
    if measured.value is None or measured.low is None or measured.high is None:
        return None
    distance = abs(measured.value - demand.limit)
    towards_limit = (
        measured.value - measured.low if measured.value > demand.limit else measured.high - measured.value
    )
    if towards_limit <= 0 or distance <= 0:
        return None
    power = 1 if measured.value in (measured.low, measured.high) else 2  # 1: a rate without events
    too_wide = towards_limit / distance
    if too_wide > MOST_TIMES ** (1 / power):
        return None
    times = too_wide**power
    return max(1, math.ceil(measured.n * (times - 1)))
