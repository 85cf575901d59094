"""Intervals of means: Student's t, over clusters where rows are not independent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from scipy import special

from evaluations.spec import Interval
from evaluations.stats.clustered import cluster_codes, clustered_se
from evaluations.stats.constants import LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def mean_interval(
    values: NDArray[np.float64], level: float = LEVEL, clusters: NDArray[Any] | None = None
) -> Interval | None:
    """Interval of the mean of (n,) values; None for fewer than two values or two clusters.

    None too where none differs from another: then nothing is known of how far the mean is off.

    Student's t with s/√n and n − 1 degrees of freedom; with (n,) cluster labels the clustered standard
    error and C − 1 (Miller 2024, arXiv 2411.00640). Not for proportions: at n = 50, p = .98 it covers 63.5 %.
    """
    if clusters is None:
        n, method = len(values), "t"
        se = float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    else:
        (_, n), method = cluster_codes(clusters), "t_clustered"
        se = clustered_se(values, clusters)
    if n < 2 or values.min() == values.max() or se <= 0:
        return None
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * se
    mean = float(values.mean())
    return Interval(low=mean - half, high=mean + half, method=method, level=level)
