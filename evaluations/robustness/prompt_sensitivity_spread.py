"""The spread of several paired proportions: its bounds, what chance makes of it, and what noise alone would."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import integrate, special

from evaluations import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray


def spread_of(right: NDArray[np.bool_]) -> float:
    """Largest − smallest column mean of (n, T)."""
    means = right.mean(axis=0)
    return float(means.max() - means.min())


def spread_bounds(
    right: NDArray[np.bool_],
    missing: NDArray[np.bool_],
    unread: NDArray[np.bool_],
    clusters: NDArray[np.str_] | None,
) -> tuple[float, float]:
    """Bounds of the true spread of (n, T) answers, from bounds of every pair of columns that hold together.

    The spread is the largest of all pairwise |differences|, so the largest lower and the largest upper bound
    hold for it, as for gaps between groups. A missing answer may be either in both; one that was `unread` is
    wrong in the lower bound and may be either in the upper.
    """
    low = high = 0.0
    count = right.shape[1]
    level = 1 - (1 - stats.LEVEL) / (count * (count - 1) // 2)
    for a, b in itertools.combinations(range(count), 2):
        near = _ends(right, missing, a, b, clusters, level)
        far = _ends(right, missing | unread, a, b, clusters, level) if unread.any() else near
        low = max(low, near[0], -near[1])
        high = max(high, *map(abs, (*near, *far)))
    return low, min(1.0, high)


def _ends(
    right: NDArray[np.bool_],
    unknown: NDArray[np.bool_],
    a: int,
    b: int,
    clusters: NDArray[np.str_] | None,
    level: float,
) -> tuple[float, float]:
    known = ~(unknown[:, a] | unknown[:, b])
    if not known.any():
        return -1.0, 1.0
    found = stats.paired_proportions(right[:, a], right[:, b], clusters, known, level).interval
    return found.low, found.high


def chance_spreads(
    right: NDArray[np.bool_],
    clusters: NDArray[np.str_] | None,
    rng: np.random.Generator,
    draws: int = stats.DRAWS,
) -> NDArray[np.float64]:
    """(draws,) spreads of (n, T) answers exchanged at random between the columns within each row.

    Rows of one cluster are exchanged together: if it does not matter how one asks, their columns are alike in law.
    """
    n, count = right.shape
    codes: NDArray[np.int64] = np.arange(n) if clusters is None else stats.cluster_codes(clusters)[0]
    sums = np.zeros((int(codes.max()) + 1, count))
    np.add.at(sums, codes, right.astype(np.float64))
    moving = sums[sums.min(axis=1) != sums.max(axis=1)]  # the others stay as they are
    step = max(1, 4_000_000 // max(1, moving.size))
    found = []
    for start in range(0, draws, step):
        held = np.tile(moving, (min(step, draws - start), 1, 1))
        totals = rng.permuted(held, axis=2, out=held).sum(axis=1)
        found.append((totals.max(axis=1) - totals.min(axis=1)) / n)
    return np.concatenate(found)


def mean_range(count: int) -> float:
    """Mean range of `count` standard normals: ∫ 1 − Φ(x)^count − (1 − Φ(x))^count dx (Tippett 1925)."""

    def beyond(x: float) -> float:
        p = float(special.ndtr(x))
        return 1 - p**count - (1 - p) ** count

    return float(integrate.quad(beyond, -12, 12, limit=200)[0])


def noise_spread(variance: float, n: int, count: int) -> float:
    """Mean spread of `count` accuracies over n examples whose answers vary by `variance` when asked again."""
    return mean_range(count) * math.sqrt(variance / n)
