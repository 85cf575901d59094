"""The numbers of fairness.group: rates per group, their ratio and gaps, and what chance alone would give."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import stats
from evaluations.scoring import Scored, not_estimable, too_many_errors
from evaluations.spec import Interval, Metric, MetricStatus, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.fairness.group import GroupParams

RATES = ("selection_rate", "tpr", "fpr")
BETWEEN = (
    "selection_rate_ratio",
    *(f"{rate}_gap{end}" for rate in RATES for end in ("", "_excess", "_p")),
    "equalized_odds_difference",
    "average_odds_difference",
)  # metrics of a whole column
MOST_GROUPS = 50


def columns(data: Dataset, pairs: bool) -> Iterator[tuple[str, NDArray[np.str_]]]:
    """Each sensitive column with the group of each row; with `pairs` also every two columns together."""
    found = {column: data.groups(column) for column in data.ref.columns(Role.SENSITIVE)}
    yield from found.items()
    for a, b in itertools.combinations(found, 2) if pairs else ():
        together = np.char.add(np.char.add(found[a], " & "), found[b])
        yield f"{a} & {b}", together


@dataclass(frozen=True)
class Table:
    """Counts of one sensitive column: for each rate (rows of RATES) and each group."""

    groups: tuple[str, ...]
    selected: NDArray[np.int64]  # (3, G) favourable answers
    answered: NDArray[np.int64]  # (3, G)
    unknown: NDArray[np.int64]  # (3, G) rows without an answer
    worth: NDArray[np.float64]  # (3, G) independent rows that each stands for: below 1 in clusters
    clustered: bool

    def part(self, rate: int, group: int) -> stats.Proportion:
        return stats.Proportion(
            int(self.selected[rate, group]),
            int(self.answered[rate, group]),
            int(self.unknown[rate, group]),
            float(self.worth[rate, group]),
        )


def tabulate(scored: Scored, groups: NDArray[np.str_], favourable: int) -> Table:
    """Counts everything else follows from, so that nothing below grows with the number of rows."""
    names, index = np.unique(groups, return_inverse=True)
    positive = scored.truth == favourable
    chosen = (scored.predicted == favourable) & ~scored.errors
    within = (np.ones_like(positive), positive, ~positive)

    def count(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(index[mask], minlength=len(names))

    def worth(mask: NDArray[np.bool_]) -> float:
        if scored.clusters is None:
            return 1.0
        return stats.worth_of_rows(chosen[mask], ~scored.errors[mask], scored.clusters[mask])

    return Table(
        groups=tuple(str(name) for name in names),
        selected=np.array([count(w & chosen) for w in within]),
        answered=np.array([count(w & ~scored.errors) for w in within]),
        unknown=np.array([count(w & scored.errors) for w in within]),
        worth=np.array([[worth(w & (index == g)) for g in range(len(names))] for w in within]),
        clustered=scored.clusters is not None,
    )


def measure(column: str, table: Table, scored: Scored, params: GroupParams, ctx: Context) -> list[Metric]:
    """Every metric of fairness.group for one sensitive column."""
    reason = too_many_errors(scored, params.max_error_rate)
    if not reason and len(table.groups) > MOST_GROUPS:
        reason = f"{column!r} has {len(table.groups)} distinct values; group them into at most {MOST_GROUPS}."
    if reason:
        return [not_estimable(name, scored.n, reason, column) for name in BETWEEN]
    rates = [_rate(column, table, r, g, params) for r in range(3) for g in range(len(table.groups))]
    rates += [_complement(m) for m in rates if m.name == "tpr"]
    usable = [
        [
            g
            for g in range(len(table.groups))
            if _size(table, r, g) >= params.suppress_below and table.answered[r, g]
        ]
        for r in range(3)
    ]
    parts = [[table.part(r, g) for g in usable[r]] for r in range(3)]
    ratio = _ratio(column, parts[0])
    gaps = [m for r in range(3) for m in _gap(column, table, r, usable[r], ctx)]
    shrunken = [m for r in range(3) for m in _shrunken(column, table, r, usable[r])]
    return [*rates, *shrunken, ratio, *gaps, *_odds(column, parts[1], parts[2])]


def warnings(column: str, table: Table, params: GroupParams) -> list[str]:
    """For each rate, by its denominator: groups left out of ratio and gaps, and groups that are uncertain."""
    if len(table.groups) > MOST_GROUPS:
        return []
    found = []
    for r, rate in enumerate(RATES):
        sizes = [(name, _size(table, r, g)) for g, name in enumerate(table.groups)]
        left_out = [f"{name} (n = {n})" for name, n in sizes if n < params.suppress_below]
        small = [f"{name} (n = {n})" for name, n in sizes if params.suppress_below <= n < params.flag_below]
        if left_out:
            found.append(f"{rate} by {column}: left out for want of people: {', '.join(left_out[:10])}.")
        if small:
            found.append(f"{rate} by {column}: uncertain, of few people: {', '.join(small[:10])}.")
    return found


# --- one group ------------------------------------------------------------------------------------


def _size(table: Table, rate: int, group: int) -> int:
    """The denominator of a rate: what suppression goes by."""
    return int(table.answered[rate, group] + table.unknown[rate, group])


def _rate(column: str, table: Table, rate: int, group: int, params: GroupParams) -> Metric:
    name, where, n = RATES[rate], f"{column}={table.groups[group]}", _size(table, rate, group)
    if n == 0:
        kind = "favourable" if rate == 1 else "unfavourable"
        return not_estimable(name, 0, f"Nobody in this group has the {kind} true label.", where)
    if n < params.suppress_below:
        reason = f"Only {n} people: fewer than {params.suppress_below}."
        return Metric(name=name, value=None, n=n, slice=where, status=MetricStatus.SUPPRESSED, reason=reason)
    if not table.answered[rate, group]:
        return not_estimable(name, n, "The model gave no answer for anybody in this group.", where)
    part = table.part(rate, group)
    return Metric(name=name, value=part.value, interval=part.interval(), n=n, slice=where)


def _complement(tpr: Metric) -> Metric:
    """The false negative rate beside the true positive rate: one minus it, its interval turned round."""
    changes: dict[str, Any] = {"name": "fnr"}
    if tpr.value is not None and tpr.interval is not None:
        ends = {"low": 1 - tpr.interval.high, "high": 1 - tpr.interval.low}
        changes |= {"value": 1 - tpr.value, "interval": tpr.interval.model_copy(update=ends)}
    return tpr.model_copy(update=changes)


def _shrunken(column: str, table: Table, rate: int, usable: Sequence[int]) -> list[Metric]:
    """Each group's rate pulled towards the mean of all, the more the smaller it is."""
    name = f"{RATES[rate]}_shrunken"
    if len(usable) < 2:
        return [not_estimable(name, 0, FEW_GROUPS, column)]
    hits, sizes = table.selected[rate, usable], table.answered[rate, usable]
    values = shrunken(hits, sizes)
    return [
        Metric(name=name, value=float(v), n=int(n), slice=f"{column}={table.groups[g]}")
        for v, n, g in zip(values, sizes, usable, strict=True)
    ]


def shrunken(hits: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Beta-binomial shrinkage by the method of moments (Kleinman 1973, JASA 68:46). G ≥ 2 groups, each n ≥ 1.

    m = Σx/Σn and S = Σ n(p − m)²; the prior size M solves E[S] = S. Groups that differ by no more
    than chance all get m.
    """
    rates, total = hits / sizes, float(sizes.sum())
    mean = float(hits.sum()) / total
    noise = mean * (1 - mean)
    spread = float((sizes * (rates - mean) ** 2).sum())
    expected = noise * (len(sizes) - 1)
    if noise == 0 or spread <= expected:
        return np.full(len(sizes), mean)
    weight = total - float((sizes.astype(np.float64) ** 2).sum()) / total
    between = min(1.0, (spread - expected) / (noise * (weight - (len(sizes) - 1))))  # 1/(M + 1)
    prior = 1 / between - 1
    return np.asarray((hits + prior * mean) / (sizes + prior))


# --- between groups -------------------------------------------------------------------------------


def pairwise_level(groups: int, families: int = 1, level: float = stats.LEVEL) -> float:
    """Bonferroni: the level of each of the pairs that makes all of them hold together."""
    return 1 - (1 - level) / max(1, families * groups * (groups - 1) // 2)


def ratio_bounds(parts: Sequence[stats.Proportion], level: float) -> tuple[float, float]:
    """Bounds of smallest/largest, from bounds of every ordered pair that hold together.

    min/max of the rates is the smallest of all pairwise ratios, so the smallest lower and the
    smallest upper bound hold for it. A percentile bootstrap of min/max does not cover: with 8 equal
    groups of 125 its upper bound never reached the true ratio of 1 in 400 simulations.
    """
    pairs = [stats.mover_ratio(a, b, level) for a, b in itertools.permutations(parts, 2)]
    return min(1.0, min(low for low, _ in pairs)), min(1.0, min(high for _, high in pairs))


def gap_bounds(parts: Sequence[stats.Proportion], level: float) -> tuple[float, float]:
    """Bounds of largest − smallest, the largest of all pairwise |differences|, in the same way."""
    pairs = [stats.mover_difference(a, b, level) for a, b in itertools.combinations(parts, 2)]
    return max(max(0.0, low, -high) for low, high in pairs), max(
        max(abs(low), abs(high)) for low, high in pairs
    )


def _interval(low: float, high: float, value: float) -> Interval:
    return Interval(low=min(low, value), high=max(high, value), method="pairwise_mover_wilson")


def _n(parts: Sequence[stats.Proportion]) -> int:
    return sum(p.n + p.unknown for p in parts)


def _ratio(column: str, parts: Sequence[stats.Proportion]) -> Metric:
    name, n = "selection_rate_ratio", _n(parts)
    if len(parts) < 2:
        return not_estimable(name, n, FEW_GROUPS, column)
    rates = [p.value for p in parts]
    if max(rates) == 0:
        return not_estimable(name, n, "Nobody in any group got the favourable answer.", column)
    value = min(rates) / max(rates)
    bounds = ratio_bounds(parts, pairwise_level(len(parts)))
    return Metric(name=name, value=value, interval=_interval(*bounds, value), n=n, slice=column)


def _gap(column: str, table: Table, rate: int, usable: Sequence[int], ctx: Context) -> list[Metric]:
    """The gap of one rate, its excess over the permutation null, and p."""
    name, parts = f"{RATES[rate]}_gap", [table.part(rate, g) for g in usable]
    n = _n(parts)
    if len(parts) < 2:
        return [not_estimable(name + end, n, FEW_GROUPS, column) for end in ("", "_excess", "_p")]
    value = gap_of(parts)
    bounds = gap_bounds(parts, pairwise_level(len(parts)))
    raw = Metric(name=name, value=value, interval=_interval(*bounds, value), n=n, slice=column)
    if table.clustered:
        return [raw, *(not_estimable(name + end, n, CLUSTERED, column) for end in ("_excess", "_p"))]
    null = null_gaps(
        np.array([p.n for p in parts]),
        sum(p.successes for p in parts),
        ctx.rng(f"permutation:{name}:{column}"),
    )
    chance = float(null.mean())  # known to the draws' error, so the interval only shifts
    excess = _interval(bounds[0] - chance, bounds[1] - chance, value - chance)
    return [
        raw,
        Metric(name=f"{name}_excess", value=value - chance, interval=excess, n=n, slice=column),
        Metric(name=f"{name}_p", value=stats.permutation_p(value, null), n=n, slice=column),
    ]


def _odds(column: str, tpr: Sequence[stats.Proportion], fpr: Sequence[stats.Proportion]) -> list[Metric]:
    """Equalized odds: the larger of the two gaps, and their mean."""
    names, n = ("equalized_odds_difference", "average_odds_difference"), _n(tpr) + _n(fpr)
    if len(tpr) < 2 or len(fpr) < 2:
        return [not_estimable(name, n, FEW_GROUPS, column) for name in names]
    gaps = (gap_of(tpr), gap_of(fpr))
    lows, highs = zip(
        *(gap_bounds(parts, pairwise_level(len(parts), families=2)) for parts in (tpr, fpr)), strict=True
    )
    found = ((max(gaps), max(lows), max(highs)), (sum(gaps) / 2, sum(lows) / 2, sum(highs) / 2))
    return [
        Metric(name=name, value=value, interval=_interval(low, high, value), n=n, slice=column)
        for name, (value, low, high) in zip(names, found, strict=True)
    ]


def gap_of(parts: Sequence[stats.Proportion]) -> float:
    rates = [p.value for p in parts]
    return max(rates) - min(rates)


def null_gaps(
    sizes: NDArray[np.int64], selected: int, rng: np.random.Generator, draws: int = stats.DRAWS
) -> NDArray[np.float64]:
    """Gaps when group membership is shuffled: the selected fall on the groups as a multivariate hypergeometric."""
    counts = rng.multivariate_hypergeometric(sizes, selected, size=draws, method="marginals")
    rates = counts / sizes
    return np.asarray(rates.max(axis=1) - rates.min(axis=1), dtype=np.float64)


CLUSTERED = (
    "The permutation holds for independent rows only, and these are clustered: see the gap's own interval."
)
FEW_GROUPS = "Fewer than two groups are large enough to compare. Add examples of the other groups."
