"""Quantiles, of latencies for instance: order-statistic intervals, and resampled blocks where values hang together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats as scipy_stats

from evaluations.spec import Interval
from evaluations.stats.clustered import cluster_codes
from evaluations.stats.constants import DRAWS, LEVEL

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sample_quantile(values: NDArray[np.float64], q: float) -> float:
    """The smallest of (n,) values that at least a share q of them do not exceed: order statistic ⌈nq⌉."""
    return float(np.quantile(values, q, method="inverted_cdf"))


def quantile_interval(values: NDArray[np.float64], q: float, level: float = LEVEL) -> Interval | None:
    """Equal-tailed interval of the q-quantile between two order statistics of (n,) independent values.

    Ends X_(r) and X_(s) with P(Bin(n, q) < r) ≤ α/2 and P(Bin(n, q) ≥ s) ≤ α/2, as near as they get: covers at
    least `level` whatever the distribution (David & Nagaraja 2003, Order Statistics, §7.1). None where n is too
    small for both ends: at 95 % p50 takes 6 values, p90 36, p99 368. None too where an end is infinite.
    """
    n, tail = len(values), (1 - level) / 2
    if n == 0:
        return None
    below = scipy_stats.binom.cdf(np.arange(-1, n + 1), n, q)  # [j]: P(Bin ≤ j − 1) = P(Bin < j)
    lower = np.flatnonzero(below[1 : n + 1] <= tail)  # r − 1 for r = 1 … n
    upper = np.flatnonzero(1 - below[1 : n + 1] <= tail)
    if not len(lower) or not len(upper):
        return None
    ordered = np.sort(values)
    low, high = float(ordered[lower[-1]]), float(ordered[upper[0]])
    if not np.isfinite([low, high]).all():
        return None
    return Interval(low=low, high=high, method="order_statistics", level=level)


def block_quantile_interval(
    values: NDArray[np.float64],
    blocks: NDArray[Any],
    q: float,
    rng: np.random.Generator,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> Interval | None:
    """Percentile bootstrap of `sample_quantile` over whole blocks; values and block labels (n,).

    For values that are autocorrelated within a run or a stretch of time (Carlstein 1986, Ann. Stat. 14:1171).
    None for fewer than ten blocks, or too few values for `quantile_interval`: resampling cannot show a tail
    that it has not seen.
    """
    codes, count = cluster_codes(blocks)
    if count < 10 or quantile_interval(values, q, level) is None:
        return None
    order = np.argsort(values, kind="stable")
    ordered, owners = values[order], codes[order]
    found = np.empty(draws)
    step = max(1, 4_000_000 // len(values))
    for start in range(0, draws, step):
        b = min(step, draws - start)
        times = rng.multinomial(count, np.full(count, 1 / count), size=b)
        weights = np.cumsum(times[:, owners], axis=1)
        needed = np.ceil(q * weights[:, -1] - 1e-9)
        found[start : start + b] = ordered[(weights < needed[:, None]).sum(axis=1)]
    found.sort()  # what is infinite, as no answer is late, comes last and counts
    k = round((draws + 1) * (1 - level) / 2)
    low, high = float(found[k - 1]), float(found[draws - k])
    value = sample_quantile(values, q)
    low, high = min(low, value), max(high, value)
    if not np.isfinite([low, high]).all():
        return None
    return Interval(low=low, high=high, method="block_bootstrap", level=level)
