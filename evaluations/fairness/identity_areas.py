"""The numbers of fairness.identity_terms: areas of each group, the worst of them, and what they come to together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations.records import not_estimable
from evaluations.scoring import Scored, too_many_errors
from evaluations.spec import Interval, Metric, MetricStatus
from evaluations.stats import LEVEL
from evaluations.stats.areas import Area, area, generalised_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.fairness.identity_groups import Group
    from evaluations.fairness.identity_terms import IdentityParams

AREAS = ("subgroup_auc", "bpsn_auc", "bnsp_auc")
GAPS = ("positive_gap", "negative_gap")
POWER = -5.0
NOTHING = "No group has enough texts of both kinds to be examined."


@dataclass(frozen=True)
class Compared:
    """Two sets of texts, by size, and the area between their scores: None where one of them has no answer.

    Three areas: of the texts with an answer, with those without one counted against the model, and for it.
    """

    positives: int
    negatives: int
    areas: tuple[Area, Area, Area] | None

    @property
    def n(self) -> int:
        return self.positives + self.negatives

    @property
    def smaller(self) -> int:
        return min(self.positives, self.negatives)

    @property
    def value(self) -> float | None:
        return self.areas[0].value if self.areas else None


@dataclass(frozen=True)
class Areas:
    """What is compared: over all texts, and for each group by the name of the metric."""

    overall: Compared
    groups: tuple[tuple[str, dict[str, Compared]], ...]  # (slice, …)


def areas_of(scored: Scored, wanted: NDArray[np.bool_], groups: Sequence[Group]) -> Areas:
    """Every comparison. `wanted` says which classes are looked for; a text's score is their probability."""
    score, positive = scored.probs[:, wanted].sum(axis=1), wanted[scored.truth]

    def compare(above: NDArray[np.bool_], below: NDArray[np.bool_]) -> Compared:
        return _compare(scored, score, above, below)

    found = []
    for group in groups:
        own = group.named[scored.rows]
        found.append(
            (
                group.slice,
                {
                    "subgroup_auc": compare(own & positive, own & ~positive),
                    "bpsn_auc": compare(~own & positive, own & ~positive),
                    "bnsp_auc": compare(own & positive, ~own & ~positive),
                    "positive_gap": compare(own & positive, ~own & positive),
                    "negative_gap": compare(own & ~positive, ~own & ~positive),
                },
            )
        )
    return Areas(compare(positive, ~positive), tuple(found))


def _compare(
    scored: Scored, score: NDArray[np.float64], above: NDArray[np.bool_], below: NDArray[np.bool_]
) -> Compared:
    def of(missing_above: float, missing_below: float) -> Area | None:
        """The area with these scores where there is no answer; NaN leaves those texts out."""
        filled = np.where(scored.errors & above, missing_above, score)
        filled = np.where(scored.errors & below, missing_below, filled)
        known = ~np.isnan(filled)
        one, other = above & known, below & known
        if not one.any() or not other.any():
            return None
        clusters = None if scored.clusters is None else (scored.clusters[one], scored.clusters[other])
        return area(filled[one], filled[other], clusters)

    answered = of(np.nan, np.nan)
    against, in_favour = of(-1.0, 2.0), of(2.0, -1.0)  # below and above every probability
    areas = (answered, against, in_favour) if answered and against and in_favour else None
    return Compared(int(above.sum()), int(below.sum()), areas)


def _interval(areas: tuple[Area, Area, Area], level: float = LEVEL) -> Interval:
    answered, against, in_favour = areas
    low, high = against.interval(level), in_favour.interval(level)
    ends = {"low": min(low.low, answered.value), "high": max(high.high, answered.value)}
    return low.model_copy(update=ends)


def measure(found: Areas, scored: Scored, params: IdentityParams) -> list[Metric]:
    """Every metric of fairness.identity_terms."""
    reason = too_many_errors(scored, params.max_error_rate)
    if reason:
        names = [(name, "all", scored.n) for name in ("worst_auc", "overall_auc", "bias_score")]
        names += [(name, where, held[name].n) for where, held in found.groups for name in (*AREAS, *GAPS)]
        return [not_estimable(name, n, reason, where) for name, where, n in names]
    metrics = [
        _worst(found, params),
        _one("overall_auc", "all", found.overall, params),
        _together(found, params),
    ]
    for where, held in found.groups:
        metrics += [_one(name, where, held[name], params) for name in AREAS]
        metrics += [_less_half(_one(name, where, held[name], params)) for name in GAPS]
    return metrics


def _one(name: str, where: str, compared: Compared, params: IdentityParams) -> Metric:
    if compared.areas is None:
        reason = "There are no texts of one kind, or none that the model answered, to compare with the other."
        return not_estimable(name, compared.n, reason, where)
    if compared.smaller < params.suppress_below:
        reason = f"Only {compared.smaller} texts of one kind: fewer than {params.suppress_below}."
        return Metric(
            name=name,
            value=None,
            n=compared.n,
            slice=where,
            status=MetricStatus.SUPPRESSED,
            reason=reason,
        )
    answered = compared.areas[0]
    return Metric(
        name=name,
        value=answered.value,
        interval=_interval(compared.areas),
        n=compared.n,
        n_effective=answered.positives + answered.negatives,
        slice=where,
    )


def _less_half(area: Metric) -> Metric:
    """An area as a gap: 0 where both sets score alike."""
    if area.value is None or area.interval is None:
        return area
    ends = {"low": area.interval.low - 0.5, "high": area.interval.high - 0.5}
    return area.model_copy(
        update={"value": area.value - 0.5, "interval": area.interval.model_copy(update=ends)}
    )


def _worst(found: Areas, params: IdentityParams) -> Metric:
    """The smallest area shown. Its ends hold whichever area is smallest in truth, those not shown among them."""
    every = [held[name] for _, held in found.groups for name in AREAS]
    shown = [one.value for one in every if one.value is not None and one.smaller >= params.suppress_below]
    if not shown:
        return not_estimable("worst_auc", found.overall.n, NOTHING)
    level = 1 - (1 - LEVEL) / len(every)
    ends = [_interval(one.areas, level) for one in every if one.areas]
    low = min(end.low for end in ends) if len(ends) == len(every) else 0.0
    high = min(end.high for end in ends)
    value, method = min(shown), f"{ends[0].method}_bonferroni"
    interval = Interval(low=min(low, value), high=max(high, value), method=method)
    return Metric(name="worst_auc", value=value, interval=interval, n=found.overall.n)


def _together(found: Areas, params: IdentityParams) -> Metric:
    """The competition's score, over the groups of which all three areas are shown."""
    groups = [
        [held[name].areas for name in AREAS]
        for _, held in found.groups
        if all(held[name].smaller >= params.suppress_below for name in AREAS)
    ]
    whole = [[areas for areas in three if areas] for three in groups if all(three)]
    if not whole or not found.overall.areas:
        return not_estimable("bias_score", found.overall.n, NOTHING)
    level = 1 - (1 - LEVEL) / (3 * len(whole) + 1)
    overall = _interval(found.overall.areas, level)
    ends = [[_interval(areas, level) for areas in three] for three in whole]
    value = _score(found.overall.areas[0].value, [[areas[0].value for areas in three] for three in whole])
    low = _score(overall.low, [[end.low for end in three] for three in ends])
    high = _score(overall.high, [[end.high for end in three] for three in ends])
    method = f"{overall.method}_bonferroni"
    interval = Interval(low=min(low, value), high=max(high, value), method=method)
    return Metric(name="bias_score", value=value, interval=interval, n=found.overall.n)


def _score(overall: float, groups: Sequence[Sequence[float]]) -> float:
    """(G, 3) areas and the overall one, a quarter each of the latter and of the three generalised means."""
    means = [generalised_mean(column, POWER) for column in np.array(groups).T]
    return (overall + sum(means)) / 4


def warnings(found: Areas, params: IdentityParams) -> list[str]:
    """Groups that cannot be judged or are uncertain, by the smaller set of texts of their areas."""
    lacking, small, few = [], [], []
    for where, held in found.groups:
        least = min(held[name].smaller for name in AREAS)
        if any(held[name].areas is None for name in AREAS):
            lacking.append(where)
        elif least < params.suppress_below:
            small.append(f"{where} ({least})")
        elif least < params.flag_below:
            few.append(f"{where} ({least})")
    said = []
    if lacking:
        said.append(
            f"Texts of one kind are lacking: {', '.join(lacking[:10])}. Nothing is known of them, so the lower end of "
            "the worst area is 0. Add such texts, or leave the group out."
        )
    if small:
        said.append(f"Too few texts to show, counted in the ends of the worst area: {', '.join(small[:10])}.")
    if few:
        said.append(f"Uncertain, of few texts: {', '.join(few[:10])}.")
    return said
