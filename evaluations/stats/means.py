"""Intervals of means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy import special

from evaluations.spec import Interval
from evaluations.stats.constants import LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def mean_interval(values: NDArray[np.float64], level: float = LEVEL) -> Interval | None:
    """Student's t interval of a mean, s/√n; None for fewer than two values."""
    n = len(values)
    if n < 2:
        return None
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * float(values.std(ddof=1)) / math.sqrt(n)
    mean = float(values.mean())
    return Interval(low=mean - half, high=mean + half, method="t", level=level)
