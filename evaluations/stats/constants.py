"""The level every interval has, how many resamples are drawn, the normal quantile."""

from __future__ import annotations

LEVEL = 0.95
DRAWS = 9_999  # with order statistics 250 and 9,750 the percentile interval is exact: (B + 1)·α/2 is whole


def z_of(level: float = LEVEL) -> float:
    """Two-sided normal quantile: 1.95996… at 95 %."""
    from scipy import special  # here, so that plans load without it

    return float(special.ndtri((1 + level) / 2))
