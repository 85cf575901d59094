"""Ratios of two means of the same rows."""

from __future__ import annotations

import math

from evaluations.spec import Interval


def paired_ratio(
    first: tuple[float, Interval], second: tuple[float, Interval], correlation: float
) -> Interval | None:
    """Interval of the ratio of two values in [0, 1] measured on the same rows, the second above 0.

    MOVER-R over their own intervals, with the correlation of the two estimates (Donner & Zou 2012, Statistical
    Methods in Medical Research 21:347; Newcombe 2016, ibid. 25:1774). Unlike the bootstrap it keeps its width where
    both are 0 or 1. None where the second may be so near 0 that the ratio has no bound.
    """
    (a, one), (b, two) = first, second
    low_reach, high_reach = a - one.low, one.high - a
    down = two.high * (2 * b - two.high)
    up = two.low * (2 * b - two.low)
    if up <= 0:
        return None
    centre = a * b - correlation * low_reach * (two.high - b)
    inside = max(0.0, centre**2 - one.low * (2 * a - one.low) * down)
    ends = one.low * (2 * a - one.low)
    # (centre − √inside)/down, written so that it holds where down is 0 or negative as well
    low = ends / (centre + math.sqrt(inside)) if centre + math.sqrt(inside) > 0 else 0.0
    centre = a * b - correlation * high_reach * (b - two.low)
    inside = max(0.0, centre**2 - one.high * (2 * a - one.high) * up)
    high = (centre + math.sqrt(inside)) / up
    value = a / b
    return Interval(
        low=min(value, max(0.0, low)), high=max(value, high), method="mover_ratio_paired", level=one.level
    )
