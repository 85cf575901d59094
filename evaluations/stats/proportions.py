"""Intervals of one proportion and of functions of several independent ones: closed forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import optimize, special

from evaluations.spec import Interval
from evaluations.stats.constants import LEVEL, z_of


def wilson(successes: float, n: float, level: float = LEVEL) -> Interval:
    """Score interval of a proportion (Wilson 1927; Brown, Cai & DasGupta 2001). n ≥ 1; counts may be fractional."""
    z = z_of(level)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    high = 1.0 if successes >= n else min(1.0, centre + half)
    return Interval(low=low, high=high, method="wilson", level=level)


def clopper_pearson(successes: float, n: float, level: float = LEVEL) -> Interval:
    """Exact interval of a proportion (Clopper & Pearson 1934): never covers less than `level`. n ≥ 1.

    Counts may be fractional, as of an effective n (Korn & Graubard 1998, Survey Methodology 24:193).
    """
    tail = (1 - level) / 2
    low = 0.0 if successes <= 0 else float(special.betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes >= n else float(special.betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(low=low, high=high, method="clopper_pearson", level=level)


def spanning(lower: Interval, upper: Interval, value: float) -> Interval:
    """Low end of one interval, high end of another, widened where needed to hold `value`."""
    return Interval(
        low=min(lower.low, value), high=max(upper.high, value), method=lower.method, level=lower.level
    )


# --- functions of several independent proportions ---------------------------------------------


@dataclass(frozen=True)
class Proportion:
    """successes of n, of which `unknown` more rows gave no answer and may be either.

    `worth` is how many independent rows each stands for: below 1 where they come in clusters.
    """

    successes: int
    n: int
    unknown: int = 0
    worth: float = 1.0

    @property
    def value(self) -> float:
        return self.successes / self.n

    def bounds(self, level: float = LEVEL) -> tuple[float, float]:
        """Wilson bounds: unknown rows count as failures in the lower one, as successes in the upper one."""
        every = (self.n + self.unknown) * self.worth
        most = (self.successes + self.unknown) * self.worth
        return (
            min(self.value, wilson(self.successes * self.worth, every, level).low),
            max(self.value, wilson(most, every, level).high),
        )

    def interval(self, level: float = LEVEL) -> Interval:
        low, high = self.bounds(level)
        method = "wilson" if self.worth == 1 else "wilson_clustered"
        return Interval(low=low, high=high, method=method, level=level)


def mover_mean(parts: Sequence[Proportion], level: float = LEVEL) -> Interval:
    """Unweighted mean of independent proportions by MOVER over Wilson bounds (Zou & Donner 2008).

    Unlike the bootstrap it keeps its width where every proportion is 0 or 1.
    """
    mean = sum(p.value for p in parts) / len(parts)
    bounds = [(p.value, *p.bounds(level)) for p in parts]
    low = mean - math.sqrt(sum((p - lo) ** 2 for p, lo, _ in bounds)) / len(parts)
    high = mean + math.sqrt(sum((hi - p) ** 2 for p, _, hi in bounds)) / len(parts)
    return Interval(low=max(0.0, low), high=min(1.0, high), method="mover_wilson", level=level)


def mover_difference(a: Proportion, b: Proportion, level: float = LEVEL) -> tuple[float, float]:
    """Bounds of p_a − p_b: Newcombe 1998 (Statistics in Medicine 17:873), method 10."""
    (la, ua), (lb, ub) = a.bounds(level), b.bounds(level)
    d = a.value - b.value
    return d - math.hypot(a.value - la, ub - b.value), d + math.hypot(ua - a.value, b.value - lb)


def mover_ratio(a: Proportion, b: Proportion, level: float = LEVEL) -> tuple[float, float]:
    """Bounds of p_a / p_b by MOVER-R over Wilson bounds (Donner & Zou 2012). May be (0, inf)."""
    (la, ua), (lb, ub) = a.bounds(level), b.bounds(level)
    ab = a.value * b.value
    low_den, high_den = ub * (2 * b.value - ub), lb * (2 * b.value - lb)
    low = 0.0
    if low_den != 0:
        low = (
            ab - math.sqrt(max(0.0, ab * ab - la * ub * (2 * a.value - la) * (2 * b.value - ub)))
        ) / low_den
    elif ab > 0:
        low = la * (2 * a.value - la) / (2 * ab)
    high = math.inf
    if high_den > 0:
        high = (
            ab + math.sqrt(max(0.0, ab * ab - ua * lb * (2 * a.value - ua) * (2 * b.value - lb)))
        ) / high_den
    return max(0.0, low), high


def auc_interval(auc: float, positives: float, negatives: float, level: float = LEVEL) -> Interval:
    """Area under the ROC curve: Newcombe 2006 (Statistics in Medicine 25:559), method 5.

    Solves |auc − θ| = z·√V(θ) with Hanley & McNeil's variance at the mean group size, so it
    keeps its width at auc = 1. Sizes may be fractional, as of an effective n.
    """
    z, size = z_of(level), (positives + negatives) / 2

    def excess(theta: float) -> float:
        spread = 1 + (size - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (auc - theta) ** 2 - z * z * theta * (1 - theta) * spread / (positives * negatives)

    low = 0.0 if auc <= 0 else float(optimize.brentq(excess, 0.0, min(auc, 1 - 1e-12)))
    high = 1.0 if auc >= 1 else float(optimize.brentq(excess, max(auc, 1e-12), 1.0))
    return Interval(low=low, high=high, method="newcombe_auc", level=level)
