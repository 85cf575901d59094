"""The numbers of fairness.calibration: calibration error, overstatement and precision of each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.fairness.group_rates import (
    CLUSTERED,
    FEW_GROUPS,
    MOST_GROUPS,
    gap_bounds,
    gap_of,
    null_gaps,
    pairwise_level,
)
from evaluations.quality.calibration_error import debiased_ece, ece_bounds, reliability
from evaluations.records import not_estimable, too_many_errors
from evaluations.scoring import Scored
from evaluations.spec import Interval, Metric, MetricStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.fairness.group import GroupParams

BETWEEN = ("worst_ece_debiased", "ppv_gap", "ppv_gap_excess", "ppv_gap_p")  # metrics of a whole column
WITHIN = ("ece_debiased", "calibration_bias", "ppv")


def split(scored: Scored, groups: NDArray[np.str_]) -> dict[str, Scored]:
    """The rows of each group."""
    found = {}
    for name in np.unique(groups):
        found[str(name)] = scored.only(groups == name)
    return found


def measure(
    column: str, by_group: Mapping[str, Scored], favourable: int, params: GroupParams, ctx: Context
) -> list[Metric]:
    """Every metric of fairness.calibration for one sensitive column."""
    every = sum(s.n for s in by_group.values())
    errors = sum(int(s.errors.sum()) for s in by_group.values())
    reason = too_many_errors(errors, every, params.max_error_rate)
    if not reason and len(by_group) > MOST_GROUPS:
        reason = f"{column!r} has {len(by_group)} distinct values; group them into at most {MOST_GROUPS}."
    if reason:
        return [not_estimable(name, every, reason, column) for name in (*WITHIN, *BETWEEN)]
    found = []
    for name, scored in by_group.items():
        found += _within(f"{column}={name}", scored, favourable, params)
    usable = {n: s for n, s in by_group.items() if s.n >= params.suppress_below and not s.errors.all()}
    parts = {n: precision(s, favourable) for n, s in usable.items()}
    parts = {n: p for n, p in parts.items() if p.n and p.n + p.unknown >= params.suppress_below}
    clustered = any(s.clusters is not None for s in by_group.values())
    return [
        *found,
        _worst(column, list(usable.values())),
        *_ppv_gap(column, list(parts.values()), ctx, clustered),
    ]


def warnings(column: str, by_group: Mapping[str, Scored], params: GroupParams) -> list[str]:
    """Groups that are left out, and groups whose calibration is uncertain."""
    if len(by_group) > MOST_GROUPS:
        return []
    out = [f"{name} (n = {s.n})" for name, s in by_group.items() if s.n < params.suppress_below]
    few = [
        f"{name} (n = {s.n})"
        for name, s in by_group.items()
        if params.suppress_below <= s.n < params.flag_below
    ]
    found = []
    if out:
        found.append(f"Calibration by {column}: left out for want of people: {', '.join(out[:10])}.")
    if few:
        found.append(f"Calibration by {column}: uncertain, of few people: {', '.join(few[:10])}.")
    return found


# --- one group ------------------------------------------------------------------------------------


def _within(where: str, scored: Scored, favourable: int, params: GroupParams) -> list[Metric]:
    if scored.n < params.suppress_below:
        reason = f"Only {scored.n} people: fewer than {params.suppress_below}."
        return [
            Metric(
                name=name, value=None, n=scored.n, slice=where, status=MetricStatus.SUPPRESSED, reason=reason
            )
            for name in WITHIN
        ]
    if scored.errors.all():
        reason = "The model gave no answer for anybody in this group."
        return [not_estimable(name, scored.n, reason, where) for name in WITHIN]
    value, low, high = calibration_error(scored, stats.LEVEL)
    return [
        Metric(name="ece_debiased", value=value, interval=_interval(low, high), n=scored.n, slice=where),
        _bias(where, scored, favourable),
        _ppv(where, scored, favourable, params),
    ]


def calibration_error(scored: Scored, level: float) -> tuple[float, float, float]:
    """Debiased ECE of a group and its bounds; rows without an answer count against and for it."""
    value = min(1.0, debiased_ece(reliability(scored.answered())))
    low, _ = ece_bounds(reliability(scored.filled("best")), level)
    _, high = ece_bounds(reliability(scored.filled("worst")), level)
    return value, min(low, value), max(high, value)


def _interval(low: float, high: float) -> Interval:
    return Interval(low=low, high=high, method="ece_inversion")


def _bias(where: str, scored: Scored, favourable: int) -> Metric:
    """Mean of p(favourable) − [truth favourable]; a row without an answer may state 0 or 1."""
    truth = (scored.truth == favourable).astype(np.float64)
    stated = scored.probs[:, favourable]
    value = float((stated - truth)[~scored.errors].mean())
    low = stats.mean_interval(np.where(scored.errors, 0.0, stated) - truth, clusters=scored.clusters)
    high = stats.mean_interval(np.where(scored.errors, 1.0, stated) - truth, clusters=scored.clusters)
    interval = None
    if low and high:
        interval = Interval(
            low=min(value, max(-1.0, low.low)), high=max(value, min(1.0, high.high)), method=low.method
        )
    return Metric(name="calibration_bias", value=value, interval=interval, n=scored.n, slice=where)


def precision(scored: Scored, favourable: int) -> stats.Proportion:
    """Deserved favourable answers of all favourable answers; a row without an answer may have been one."""
    chosen = (scored.predicted == favourable) & ~scored.errors
    hits, asked = chosen & (scored.truth == favourable), chosen | scored.errors
    clusters = None if scored.clusters is None else scored.clusters[asked]
    worth = stats.worth_of_rows(hits[asked], chosen[asked], clusters)
    return stats.Proportion(int(hits.sum()), int(chosen.sum()), int(scored.errors.sum()), worth)


def _ppv(where: str, scored: Scored, favourable: int, params: GroupParams) -> Metric:
    part = precision(scored, favourable)
    n = part.n + part.unknown
    if not part.n:
        return not_estimable("ppv", n, "Nobody in this group got the favourable answer.", where)
    if n < params.suppress_below:
        reason = f"Only {n} people got the favourable answer: fewer than {params.suppress_below}."
        return Metric(name="ppv", value=None, n=n, slice=where, status=MetricStatus.SUPPRESSED, reason=reason)
    return Metric(name="ppv", value=part.value, interval=part.interval(), n=n, slice=where)


# --- between groups -------------------------------------------------------------------------------


def _worst(column: str, groups: Sequence[Scored]) -> Metric:
    """The largest error: the largest lower and the largest upper bound hold for it where all hold together."""
    n = sum(s.n for s in groups)
    if not groups:
        return not_estimable("worst_ece_debiased", n, FEW_GROUPS, column)
    level = 1 - (1 - stats.LEVEL) / len(groups)
    errors = [calibration_error(s, level) for s in groups]
    value = max(v for v, _, _ in errors)
    low, high = max(lo for _, lo, _ in errors), max(hi for _, _, hi in errors)
    return Metric(
        name="worst_ece_debiased",
        value=value,
        interval=_interval(min(low, value), max(high, value)),
        n=n,
        slice=column,
    )


def _ppv_gap(column: str, parts: Sequence[stats.Proportion], ctx: Context, clustered: bool) -> list[Metric]:
    names = BETWEEN[1:]
    n = sum(p.n + p.unknown for p in parts)
    if len(parts) < 2:
        return [not_estimable(name, n, FEW_GROUPS, column) for name in names]
    value = gap_of(parts)
    low, high = gap_bounds(parts, pairwise_level(len(parts)))

    def of(name: str, shift: float) -> Metric:
        ends = Interval(
            low=min(low, value) - shift, high=max(high, value) - shift, method="pairwise_mover_wilson"
        )
        return Metric(name=name, value=value - shift, interval=ends, n=n, slice=column)

    if clustered:
        return [of(names[0], 0.0), *(not_estimable(name, n, CLUSTERED, column) for name in names[1:])]
    null = null_gaps(
        np.array([p.n for p in parts]), sum(p.successes for p in parts), ctx.rng(f"permutation:ppv:{column}")
    )
    chance = float(null.mean())
    return [
        of(names[0], 0.0),
        of(names[1], chance),
        Metric(name=names[2], value=stats.permutation_p(value, null), n=n, slice=column),
    ]
