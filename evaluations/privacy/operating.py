"""How many members an attack finds at a given share of false alarms; the threshold's own doubt is in the bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats as distributions

from evaluations import stats
from evaluations.privacy.blind import placements, worth_of
from evaluations.privacy.membership_parts import TEST, THRESHOLD
from evaluations.quality.classification_scores import auroc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.spec import Interval

METHOD = "order_statistics_clopper_pearson"


@dataclass(frozen=True)
class Bounds:
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Side:
    """Places of one side's rows in one part: (n,), NaN without a score. `clusters` where rows come in such."""

    place: NDArray[np.float64]
    clusters: NDArray[np.str_] | None

    @property
    def answered(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.place)


class Attack:
    """One attack's scores of n rows, turned into places, so that no two rows tie.

    Rows of one score are put in the order of `ties`, (n,) random numbers: an attacker who is free to guess among
    equals does the same, and with it every share of false alarms can be met.
    """

    def __init__(
        self,
        score: NDArray[np.float64],
        member: NDArray[np.bool_],
        part: NDArray[np.int64],
        ties: NDArray[np.float64],
        clusters: NDArray[np.str_] | None,
    ) -> None:
        self.score, self.member, self.part, self.clusters = score, member, part, clusters
        self.place: NDArray[np.float64] = np.full(len(score), np.nan)
        told = np.flatnonzero(~np.isnan(score))
        self.place[told[np.lexsort((ties[told], score[told]))]] = np.arange(len(told), dtype=np.float64)

    def side(self, *parts: int, member: bool) -> Side:
        mine = np.isin(self.part, parts) & (self.member == member)
        return Side(self.place[mine], None if self.clusters is None else self.clusters[mine])

    def tpr(self, fpr: float, level: float = stats.LEVEL) -> Bounds:
        """Test members found at the threshold that the non-members of both other parts set for `fpr`.

        Each end holds at half of what `level` leaves for the threshold, and at half for the share of members: by the
        union bound, so that it does not matter whether a cluster has rows among both.
        """
        half = 1 - (1 - level) / 2
        inside = self.side(TEST, member=True)
        at, low, high = (
            stats.proportion(
                inside.place > limit, inside.clusters, inside.answered, method="clopper_pearson", level=half
            )
            for limit in thresholds(self.side(THRESHOLD, TEST, member=False), fpr, half)
        )
        return Bounds(at.value, min(low.interval.low, at.value), max(high.interval.high, at.value))

    def promise(self, fpr: float) -> float:
        """Members of the threshold part found at the threshold of its non-members: by which an attack is chosen."""
        limit, _, _ = thresholds(self.side(THRESHOLD, member=False), fpr, stats.LEVEL)
        inside = self.side(THRESHOLD, member=True)
        return float((inside.place[inside.answered] > limit).mean())

    def false_alarms(self, fpr: float) -> stats.Estimate:
        """Test non-members above the threshold that the threshold part sets for `fpr`: whether such a one holds."""
        outside = self.side(TEST, member=False)
        limit, _, _ = thresholds(self.side(THRESHOLD, member=False), fpr, stats.LEVEL)
        return stats.proportion(
            outside.place > limit, outside.clusters, outside.answered, method="clopper_pearson"
        )

    def auc(self, level: float = stats.LEVEL, part: int = TEST) -> Bounds:
        """P(a member's score is above a non-member's), ties half; Newcombe's interval.

        Rows without a score rank as the ends want it. Clusters count by the placements.
        """
        mine = self.part == part
        member, score = self.member[mine], self.score[mine]
        clusters = None if self.clusters is None else self.clusters[mine]
        told = ~np.isnan(score)
        value = auroc(member[told], score[told])
        below, above = -np.inf, np.inf
        ends: list[Interval] = []
        for without in (np.where(member, below, above), np.where(member, above, below)):
            filled = np.where(told, score, without)
            placed = placements(member, filled)
            inside, outside = (
                worth_of(placed[s], None if clusters is None else clusters[s]) for s in (member, ~member)
            )
            ends.append(stats.auc_interval(auroc(member, filled), inside, outside, level))
        return Bounds(value, min(ends[0].low, value), max(ends[1].high, value))


def thresholds(outside: Side, fpr: float, level: float) -> tuple[float, float, float]:
    """Above which place a row is called a member: the point, and ends with too few and with too many false alarms.

    The point lets ⌊fpr·n⌋ of the n non-members through. The ends are the order statistics between which the true
    threshold lies at `level` (David & Nagaraja 2003, §7.1), infinite where there are too few rows. Rows without a
    score are where each end wants them. In clusters n is what the rows above the point are worth.
    """
    ordered = np.sort(outside.place[outside.answered])[::-1]
    told, n = len(ordered), len(outside.place)
    passed = int(fpr * told + 1e-9)
    point = float(ordered[passed]) if passed < told else -np.inf
    worth = n
    if outside.clusters is not None and n:
        above = (outside.place > point).astype(np.float64)
        worth = max(1, min(n, int(stats.interval_n(above, outside.clusters, level))))
    tail = (1 - level) / 2
    below = distributions.binom.cdf(np.arange(worth + 1), worth, fpr)
    r = int((below[:worth] <= tail).sum())  # the largest with P(Bin < r) ≤ tail
    s = int((1 - below > tail).sum()) + 1  # the smallest with P(Bin ≥ s) ≤ tail
    strict = r * n // worth - (n - told)  # rows without a score all above
    loose = -(-s * n // worth) if s <= worth else n + 1  # … or all below
    few = float(ordered[strict - 1]) if 1 <= strict <= told else np.inf
    many = float(ordered[loose - 1]) - 0.5 if loose <= told else -np.inf
    return point, max(few, point), min(many, point)
