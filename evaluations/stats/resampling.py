"""Bootstrap and permutation, seeded PCG64."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

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
    n = len(values)
    step = max(1, 4_000_000 // max(1, values.size))
    found = [
        statistic(values[rng.integers(0, n, (min(step, draws - start), n))])
        for start in range(0, draws, step)
    ]
    return percentile(np.concatenate(found))


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


def permutation_p(observed: float, null: NDArray[Any]) -> float:
    """Permutation p value, (1 + #{null ≥ observed})/(B + 1) (Davison & Hinkley 1997, §4.2)."""
    return float((1 + int((null >= observed - 1e-12).sum())) / (len(null) + 1))
