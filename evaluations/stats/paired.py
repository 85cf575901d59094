"""Two versions on the same examples: paired differences, which need far fewer examples than unpaired ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from evaluations.spec import Interval
from evaluations.stats.clustered import Estimate, interval_n
from evaluations.stats.constants import LEVEL
from evaluations.stats.proportions import spanning, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray


def newcombe_paired(a: float, b: float, c: float, d: float, level: float = LEVEL) -> Interval:
    """Interval of (b − c)/n, the difference of two paired proportions: Newcombe 1998, method 10.

    Counts of pairs: a both right, b the first alone, c the second alone, d neither; a + b + c + d > 0, and
    they may be fractional. Wilson bounds joined by φ with its continuity correction, max(ad − bc − n/2, 0)
    where ad > bc. Statistics in Medicine 17:2635.
    """
    n = a + b + c + d
    first, second = (a + b) / n, (a + c) / n
    one, two = wilson(a + b, n, level), wilson(a + c, n, level)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    cross = a * d - b * c
    if cross > 0:
        cross = max(cross - n / 2, 0.0)
    phi = cross / math.sqrt(margins) if margins > 0 else 0.0
    difference = (b - c) / n

    def reach(x: float, y: float) -> float:
        return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))

    return Interval(
        low=max(-1.0, difference - reach(first - one.low, two.high - second)),
        high=min(1.0, difference + reach(one.high - first, second - two.low)),
        method="newcombe_paired",
        level=level,
    )


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact p value that b and c, the two kinds of discordant pairs, are equally likely.

    2·P(Bin(b + c, ½) ≤ min(b, c)), at most 1 (McNemar 1947; Agresti 2013, §11.1). Independent pairs only:
    with clusters use `paired_proportions`.
    """
    if b + c == 0:
        return 1.0
    return min(1.0, 2 * float(special.bdtr(min(b, c), b + c, 0.5)))


def paired_proportions(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    clusters: NDArray[Any] | None = None,
    answered: NDArray[np.bool_] | None = None,
    level: float = LEVEL,
    worth: float = 1.0,
) -> Estimate:
    """Share right of the first version less that of the second on the same rows; all arrays (n,).

    `newcombe_paired`; with clusters its counts are scaled to the `interval_n` of the differences. A row that
    either version gave no answer to is left out of the value; it counts as the second alone being right in
    the lower end, as the first alone in the upper one. At least one row is answered by both. `worth` is how many
    independent rows (or clusters) each is worth, where what is compared was itself fitted on the others.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    known = np.ones(len(first), dtype=bool) if answered is None else np.asarray(answered, dtype=bool)
    value = float(first[known].mean() - second[known].mean())
    low, n_low = _at_effective_n(first & known, second | ~known, clusters, level, worth)
    high, n_high = _at_effective_n(first | ~known, second & known, clusters, level, worth)
    return Estimate(value, spanning(low, high, value), len(first), min(n_low, n_high))


def _at_effective_n(
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    clusters: NDArray[Any] | None,
    level: float,
    worth: float,
) -> tuple[Interval, float]:
    cells = [first & second, first & ~second, ~first & second, ~first & ~second]
    a, b, c, d = (float(cell.mean()) for cell in cells)
    n = float(len(first))
    if clusters is not None:
        n = interval_n(first.astype(np.float64) - second, clusters, level)
    n *= worth
    found = newcombe_paired(a * n, b * n, c * n, d * n, level)
    if clusters is not None:
        found = found.model_copy(update={"method": "newcombe_paired_clustered"})
    return found, n
