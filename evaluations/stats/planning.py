"""How many examples an answer takes."""

from __future__ import annotations

import math

from scipy import special

from evaluations.stats.constants import z_of


def smallest_detectable_effect(n: int, power: float = 0.8, p: float = 0.5) -> float:
    """Smallest difference from a limit that n examples detect at 95 % two-sided: (z₀.₉₇₅ + z_power)·√(p(1−p)/n)."""
    return (z_of() + float(special.ndtri(power))) * math.sqrt(p * (1 - p) / max(1, n))
