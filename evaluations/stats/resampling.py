"""Bootstrap and permutation, seeded PCG64."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from evaluations.stats.constants import DRAWS, LEVEL

if TYPE_CHECKING:
    from numpy.typing import NDArray


def percentile(draws: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """Order statistics (B + 1)·α/2 and (B + 1)·(1 − α/2) of B draws: the 250th and 9,750th of 9,999."""
    ordered = np.sort(draws[np.isfinite(draws)])
    k = max(1, round((len(ordered) + 1) * (1 - level) / 2))
    return float(ordered[k - 1]), float(ordered[len(ordered) - k])


def bootstrap(
    values: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> tuple[float, float]:
    """Percentile interval over resampled rows. `statistic` maps (b, n, …) to (b,), row means for instance."""
    return percentile(_resampled_rows(values, statistic, rng, draws))


def bca_bootstrap(
    values: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    rng: np.random.Generator,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> tuple[float, float]:
    """BCa interval over resampled rows, for skewed statistics; arguments as for `bootstrap`."""
    n = len(values)
    step = max(1, 4_000_000 // max(1, values.size))
    rest = np.arange(n - 1)
    left_out = [
        statistic(values[rest + (rest >= np.arange(start, min(start + step, n))[:, None])])
        for start in range(0, n, step)
    ]
    found = _resampled_rows(values, statistic, rng, draws)
    return bca(float(statistic(values[None])[0]), found, np.concatenate(left_out), level)


def bca(
    value: float, draws: NDArray[np.float64], left_out: NDArray[np.float64], level: float = LEVEL
) -> tuple[float, float]:
    """Bias-corrected and accelerated interval from (B,) draws and the (n,) values with one row, or cluster, left out.

    Efron 1987, JASA 82:171; draws equal to the value count half. Where all draws lie on one side of the
    value, or none of the left-out values differs, the percentile interval.
    """
    kept = draws[np.isfinite(draws)]
    bias = special.ndtri(((kept < value).mean() + (kept <= value).mean()) / 2)
    away = left_out.mean() - left_out
    cubes, squares = float((away**3).sum()), float((away**2).sum())
    if not np.isfinite(bias) or squares <= 0:
        return percentile(draws, level)
    acceleration = cubes / (6 * squares**1.5)
    z = bias + special.ndtri([(1 - level) / 2, (1 + level) / 2])
    shares = special.ndtr(bias + z / (1 - acceleration * z))
    ordered = np.sort(kept)
    low, high = np.clip(np.round(shares * (len(ordered) + 1)).astype(int), 1, len(ordered)) - 1
    return float(ordered[low]), float(ordered[high])


def cluster_bootstrap(
    sums: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> NDArray[np.float64]:
    """(draws,) of a statistic of sums over rows, resampling whole clusters.

    `sums` is (C, …): what each cluster adds to each sum (rows, hits, cells of a table); `statistic` maps
    (b, …) to (b,). Field & Welsh 2007, JRSS B 69:369. The values with one cluster left out, for
    `bca`, are statistic(sums.sum(axis=0) − sums).
    """
    count = len(sums)
    flat = sums.reshape(count, -1)
    step = max(1, 4_000_000 // max(count, flat.shape[1]))
    found = []
    for start in range(0, draws, step):
        times = rng.multinomial(count, np.full(count, 1 / count), size=min(step, draws - start))
        found.append(statistic((times @ flat).reshape(-1, *sums.shape[1:])))
    return np.concatenate(found)


def cell_bootstrap(
    cells: NDArray[np.int64],
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    rng: np.random.Generator,
    draws: int = DRAWS,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Draws of a statistic of counts, (draws,), resampling the multinomial over the cells.

    The law is that of resampling the n rows, at a cost that does not grow with n. `cells`
    has any shape; `statistic` maps (b, *cells.shape) to (b,). `weights` replaces the
    cell probabilities cells/n.
    """
    n = int(cells.sum())
    p = (cells if weights is None else weights).astype(np.float64).ravel()
    p = p / p.sum()
    step = max(1, 4_000_000 // cells.size)
    found = []
    for start in range(0, draws, step):
        drawn = rng.multinomial(n, p, size=min(step, draws - start))
        found.append(statistic(drawn.reshape(-1, *cells.shape)))
    return np.concatenate(found)


def _resampled_rows(
    values: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    rng: np.random.Generator,
    draws: int,
) -> NDArray[np.float64]:
    n = len(values)
    step = max(1, 4_000_000 // max(1, values.size))
    found = [
        statistic(values[rng.integers(0, n, (min(step, draws - start), n))])
        for start in range(0, draws, step)
    ]
    return np.concatenate(found)


def permutation_p(observed: float, null: NDArray[Any]) -> float:
    """Permutation p value, (1 + #{null ≥ observed})/(B + 1) (Davison & Hinkley 1997, §4.2)."""
    return float((1 + int((null >= observed - 1e-12).sum())) / (len(null) + 1))
