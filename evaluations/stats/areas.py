"""The area under the ROC curve of two samples, with an interval that holds for unequal sizes and any distributions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evaluations.spec import Interval
from evaluations.stats.constants import LEVEL, z_of
from evaluations.stats.proportions import auc_interval, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Area:
    """An area and how sure it is. `rows` are what the smaller class is worth, `variance` is that of the area."""

    value: float
    variance: float
    positives: float  # independent rows of each class: fewer than there are where rows are clustered
    negatives: float

    def interval(self, level: float = LEVEL) -> Interval:
        """The wider, at each end, of Newcombe's interval and Wilson's at the rows that the variance is worth.

        Newcombe's method 5 assumes how the variance follows from the area; with 10 rows against 1,000 of a mixture
        its ends missed in 35 % and 27 % of simulations. Wilson's, at n = A(1 − A)/V with DeLong's V and Student's t of
        the smaller class, missed in 0 % and 1 %, but has too little width where few pairs are out of order.
        """
        smaller, every = min(self.positives, self.negatives), self.positives + self.negatives
        spread = self.value * (1 - self.value)
        worth = spread / self.variance if spread > 0 and self.variance > 0 else smaller
        t = float(special.stdtrit(max(1.0, smaller - 1), (1 + level) / 2))
        n = min(worth, every) * (z_of(level) / t) ** 2
        by_variance = wilson(self.value * n, n, level)
        by_shape = auc_interval(self.value, self.positives, self.negatives, level)
        return Interval(
            low=max(0.0, min(by_variance.low, by_shape.low, self.value)),
            high=min(1.0, max(by_variance.high, by_shape.high, self.value)),
            method="newcombe_or_delong_wilson",
            level=level,
        )


def area(
    positives: NDArray[np.float64],
    negatives: NDArray[np.float64],
    clusters: tuple[NDArray[np.str_], NDArray[np.str_]] | None = None,
) -> Area:
    """P(a positive scores above a negative), ties half, of (m,) and (n,) scores, m and n at least 1.

    The variance is DeLong's (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837) or, where `clusters` name whose
    rows belong together, the sum over clusters of squared influences (Obuchowski 1997, Biometrics 53:567).
    """
    m, n = len(positives), len(negatives)
    above = _share_below(positives, negatives)  # (m,) of the negatives
    below = 1 - _share_below(negatives, positives)  # (n,) of the positives that score higher
    value = float(above.mean())
    variance = _variance(above) + _variance(below)
    if clusters is None:
        return Area(value, variance, float(m), float(n))
    names, codes = np.unique(np.concatenate(clusters), return_inverse=True)
    influence = np.concatenate([(above - value) / m, (below - value) / n])
    sums = np.bincount(codes, weights=influence)
    together = float((sums**2).sum()) * len(names) / max(1, len(names) - 1)
    if variance > 0 and together > 0:
        kept = min(1.0, variance / together)
        return Area(value, max(variance, together), m * kept, n * kept)
    # All pairs in order, or one cluster alone: the design effect cannot be seen, so the most that it can be.
    own, others = (float(len(np.unique(one))) for one in clusters)
    return Area(value, variance, own, others)


def _share_below(scores: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    ordered = np.sort(others)
    under = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return np.asarray(under / (2 * len(others)), dtype=np.float64)


def _variance(shares: NDArray[np.float64]) -> float:
    """Of the mean of the shares; of one alone nothing is known, so the most it can be."""
    return float(shares.var(ddof=1)) / len(shares) if len(shares) > 1 else 0.25


def generalised_mean(values: NDArray[np.float64], power: float) -> float:
    """(mean of v^p)^(1/p) of values ≥ 0; 0 where one of them is 0 and p is negative."""
    if power < 0 and (values <= 0).any():
        return 0.0
    return math.pow(float(np.mean(values**power)), 1 / power)
