"""The rates of fairness.counterfactual: over swaps, clustered by row, beside what a change of no group does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from evaluations import stats
from evaluations.fairness.counterfactual_swaps import NAMED
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Interval, Metric, MetricStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.fairness.counterfactual import CounterfactualParams
    from evaluations.fairness.counterfactual_records import Found

    Mask: TypeAlias = NDArray[np.bool_]

NO_FAVOURABLE = (
    "No favourable class is named, so no direction is good. Name it in the parameters or the data set."
)
NO_PROBABILITIES = "The model states no probabilities; how often its answer changed is the flip rate."


def measure(found: Found, params: CounterfactualParams) -> list[Metric]:
    """Every metric of fairness.counterfactual; groups and directions only where a favourable class is named."""
    swapped = ~found.neutral
    metrics = [
        rate_of(
            "flip_rate", found.flipped, found.known, swapped, found, params, "all", MetricStatus.NOT_ESTIMABLE
        ),
        worst_kind(found, params),
        _moved(found, params, swapped),
        _largest(found, params),
    ]
    kind = found.column("kind")
    for name in dict.fromkeys(kind.tolist()):
        metrics += _of_kind(name, found, params, swapped & (kind == name))
    for where, here in _pairs(found):
        metrics.append(rate_of("pair_flip_rate", found.flipped, found.known, here, found, params, where))
    if found.favourable is not None:
        metrics += _by_group(found, params)
        metrics += _by_direction(found, params)
    return list({(m.name, m.slice): m for m in metrics}.values())


# --- over all swaps ------------------------------------------------------------------------------------


def rate_of(
    name: str,
    hits: Mask,
    known: Mask,
    here: Mask,
    found: Found,
    params: CounterfactualParams,
    where: str,
    few: MetricStatus = MetricStatus.SUPPRESSED,
) -> Metric:
    reason = too_few(name, here, known, found, params, where, few)
    if reason is not None:
        return reason
    rate = stats.proportion(hits[here], found.clusters[found.row[here]], known[here])
    return Metric(
        name=name,
        value=rate.value,
        interval=rate.interval,
        n=rate.n,
        n_effective=rate.n_effective,
        slice=where,
    )


def too_few(
    name: str,
    here: Mask,
    known: Mask,
    found: Found,
    params: CounterfactualParams,
    where: str,
    few: MetricStatus = MetricStatus.SUPPRESSED,
) -> Metric | None:
    """The metric without a number, where there is none to give."""
    n = int(here.sum())
    if not n:
        return not_estimable(
            name, 0, f"None of the {found.n} rows has anything that could be swapped.", where
        )
    reason = too_many_errors(int((here & ~known).sum()), n, params.max_error_rate)
    if reason:
        return not_estimable(
            name, n, reason.replace("examples", "swaps").replace("any example", "any swap"), where
        )
    if n < params.suppress_below:
        said = f"{n} swaps are fewer than the {params.suppress_below} that say anything."
        return Metric(name=name, value=None, n=n, slice=where, status=few, reason=said)
    return None


def _moved(found: Found, params: CounterfactualParams, here: Mask) -> Metric:
    name = "mean_abs_change"
    reason = too_few(name, here, found.known, found, params, "all", MetricStatus.NOT_ESTIMABLE)
    if reason is not None:
        return reason
    if not found.graded:
        return not_estimable(name, int(here.sum()), NO_PROBABILITIES)
    mean = stats.unit_mean(found.moved[here], found.clusters[found.row[here]])
    return Metric(name=name, value=mean.value, interval=mean.interval, n=mean.n, n_effective=mean.n_effective)


def _largest(found: Found, params: CounterfactualParams) -> Metric:
    """The largest |mean gain| of one group over another, with bounds that hold for every pair."""
    name, swapped = "largest_gap", ~found.neutral
    reason = too_few(name, swapped, found.known, found, params, "all", MetricStatus.NOT_ESTIMABLE)
    if reason is not None:
        return reason
    if found.favourable is None:
        return not_estimable(name, int(swapped.sum()), NO_FAVOURABLE)
    source, target = found.column("source"), found.column("target")
    oriented = np.where(source < target, found.gained, -found.gained)

    def gap(here: Mask, level: float) -> tuple[float, float, float]:
        mean, ends, _ = _signed_mean(oriented[here], found.clusters[found.row[here]], level)
        return abs(mean), max(0.0, ends.low, -ends.high), max(abs(ends.low), abs(ends.high))

    return _extreme(name, [here for _, here in _pairs(found)], gap, found, params, "bonferroni_wilson_mean")


def worst_kind(found: Found, params: CounterfactualParams) -> Metric:
    """The largest flip rate of a kind, with bounds that hold for every kind: the mean over kinds may hide one."""
    name, swapped = "worst_kind_flip_rate", ~found.neutral
    reason = too_few(name, swapped, found.known, found, params, "all", MetricStatus.NOT_ESTIMABLE)
    if reason is not None:
        return reason
    kind = found.column("kind")

    def rate(here: Mask, level: float) -> tuple[float, float, float]:
        flipped, known = found.flipped[here], found.known[here]
        # Wilson's lower end is passed too often at levels as high as these.
        of = stats.proportion(flipped, found.clusters[found.row[here]], known, "clopper_pearson", level)
        return of.value, of.interval.low, of.interval.high

    kinds = [swapped & (kind == k) for k in sorted(set(kind[swapped]))]
    return _extreme(name, kinds, rate, found, params, "bonferroni_clopper_pearson")


def _extreme(
    name: str,
    parts: Sequence[Mask],
    measured: Callable[[Mask, float], tuple[float, float, float]],
    found: Found,
    params: CounterfactualParams,
    method: str,
) -> Metric:
    """The largest of what is `measured` (value, low, high) in each part of the swaps, with simultaneous bounds.

    A part that is too small to show still counts in the upper end, so that taking rows away cannot hide it.
    """
    level = 1 - (1 - stats.LEVEL) / len(parts)
    shown, upper = [], 0.0
    for here in parts:
        if not (here & found.known).any():
            upper = 1.0
            continue
        value, low, high = measured(here, level)
        upper = max(upper, high)
        if too_few("", here, found.known, found, params, "all") is None:
            shown.append((value, low))
    n = int((~found.neutral).sum())
    if not shown:
        return not_estimable(name, n, f"None has {params.suppress_below} swaps that were answered.")
    value = max(of for of, _ in shown)
    return Metric(
        name=name,
        value=value,
        interval=Interval(low=max(low for _, low in shown), high=upper, method=method),
        n=n,
    )


def _signed_mean(
    values: NDArray[np.float64], clusters: NDArray[np.str_], level: float = stats.LEVEL
) -> tuple[float, Interval, float]:
    """Mean of values between −1 and 1, its interval, and how many rows it is worth. Unknown ones are either end."""
    mean = stats.unit_mean((values + 1) / 2, clusters, level)
    value = 2 * mean.value - 1
    low, high = 2 * mean.interval.low - 1, 2 * mean.interval.high - 1
    interval = mean.interval.model_copy(update={"low": min(low, value), "high": max(high, value)})
    return value, interval, mean.n_effective


# --- by kind, pair, group and direction ----------------------------------------------------------------


def _of_kind(kind: str, found: Found, params: CounterfactualParams, here: Mask) -> list[Metric]:
    """The rate of a kind of swap, that of its noise floor, and the difference over the swaps that have both."""
    where = f"kind={kind}"
    rate = rate_of("kind_flip_rate", found.flipped, found.known, here, found, params, where)
    hits, known, has = _floor(kind, found)
    both = here & has
    first: NDArray[np.int64] = np.flatnonzero(both)
    each: Mask = np.zeros(len(both), dtype=bool)  # a row's floor counts once
    each[first[np.unique(found.row[first], return_index=True)[1]]] = True
    floor = rate_of("floor_flip_rate", hits, known, each, found, params, where)
    answered = known & found.known
    excess = too_few("excess_flip_rate", both, answered, found, params, where)
    if excess is None:
        paired = stats.paired_proportions(
            found.flipped[both], hits[both], found.clusters[found.row[both]], answered[both]
        )
        excess = Metric(
            name="excess_flip_rate",
            value=paired.value,
            interval=paired.interval,
            n=paired.n,
            n_effective=paired.n_effective,
            slice=where,
        )
    return [rate, floor, excess]


def _floor(kind: str, found: Found) -> tuple[Mask, Mask, Mask]:
    """(S,) for each swap: whether its row's floor flipped, is known, and exists."""
    if kind not in NAMED or not found.balanced:
        return found.unsteady[found.row], found.twice[found.row], np.ones(len(found.row), dtype=bool)
    neutral = {
        int(i): s
        for s, (i, swap) in enumerate(zip(found.row, found.swaps, strict=True))
        if swap.neutral and swap.kind == kind
    }
    has = np.array([int(i) in neutral for i in found.row], dtype=bool)
    place = np.array([neutral.get(int(i), 0) for i in found.row], dtype=np.int64)
    return found.flipped[place] & has, found.known[place] & has, has


def _pairs(found: Found) -> Iterator[tuple[str, Mask]]:
    """Each pair of groups that swaps join, in either direction."""
    kind, source, target = (found.column(name) for name in ("kind", "source", "target"))
    low, high = np.where(source < target, source, target), np.where(source < target, target, source)
    swapped = ~found.neutral
    for k, a, b in sorted(set(zip(kind[swapped], low[swapped], high[swapped], strict=True))):
        yield f"{k}={a} / {b}", swapped & (kind == k) & (low == a) & (high == b)


def _by_group(found: Found, params: CounterfactualParams) -> Iterator[Metric]:
    kind, source, target = (found.column(name) for name in ("kind", "source", "target"))
    swapped = ~found.neutral
    joined = [
        *zip(kind[swapped], source[swapped], strict=True),
        *zip(kind[swapped], target[swapped], strict=True),
    ]
    for k, group in sorted(set(joined)):
        here = swapped & (kind == k) & ((source == group) | (target == group))
        yield _gain("group_change", np.where(target == group, found.gained, -found.gained), here, found, params,
                    f"{k}={group}")  # fmt: skip


def _by_direction(found: Found, params: CounterfactualParams) -> Iterator[Metric]:
    from evaluations.fairness.counterfactual_records import best

    kind, source, target = (found.column(name) for name in ("kind", "source", "target"))
    swapped = ~found.neutral
    lost = found.flipped & (best(found.base)[found.row] == found.favourable)
    for k, a, b in sorted(set(zip(kind[swapped], source[swapped], target[swapped], strict=True))):
        here, where = swapped & (kind == k) & (source == a) & (target == b), f"{k}={a} to {b}"
        yield _gain("signed_change", found.gained, here, found, params, where)
        yield rate_of("turned_unfavourable", lost, found.known, here, found, params, where)
        if found.refused:
            yield _longer(here, found, params, where)


def _gain(
    name: str, gains: NDArray[np.float64], here: Mask, found: Found, params: CounterfactualParams, where: str
) -> Metric:
    reason = too_few(name, here, found.known, found, params, where)
    if reason is not None:
        return reason
    value, interval, worth = _signed_mean(gains[here], found.clusters[found.row[here]])
    return Metric(
        name=name, value=value, interval=interval, n=int(here.sum()), n_effective=worth, slice=where
    )


def _longer(here: Mask, found: Found, params: CounterfactualParams, where: str) -> Metric:
    """Over the swaps whose texts both came; a block of the provider has no length."""
    counted = here & ~np.isnan(found.words)
    reason = too_few("length_change", counted, found.known, found, params, where)
    if reason is not None:
        return reason
    values = found.words[counted]
    interval = stats.mean_interval(values, clusters=found.clusters[found.row[counted]])
    return Metric(
        name="length_change", value=float(values.mean()), interval=interval, n=len(values), slice=where
    )
