"""Intervals that hold at every sample size at once, so that one may look, and stop, whenever one likes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy import optimize, special

from evaluations.spec import Interval
from evaluations.stats.constants import LEVEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts: TypeAlias = float | NDArray[Any]


def mixture_evidence(successes: Counts, n: Counts, p: float) -> NDArray[np.float64]:
    """ln of the evidence against a rate p after `successes` of n: ln[B(S + 1, n − S + 1)/(p^S·(1 − p)^{n−S})].

    Likelihood averaged over all rates, against that of p: a martingale of mean 1 where p is true, so it ever
    exceeds 1/α with probability ≤ α (Ville 1939; Robbins 1970, Ann. Math. Stat. 41:1397). Arrays broadcast.
    """
    failures = np.subtract(n, successes)
    likelihood = special.xlogy(successes, p) + special.xlog1py(failures, -p)
    return np.asarray(special.betaln(np.add(successes, 1), failures + 1) - likelihood)


def bernoulli_sequence(successes: int, n: int, level: float = LEVEL) -> Interval:
    """Confidence sequence of a rate after `successes` of n ≥ 1: the rates whose evidence is below 1/α.

    Uniform mixture, α two-sided, no running intersection: the interval at n depends on the counts at n alone.
    All of them hold the truth together with probability ≥ `level`.
    """
    threshold = -math.log(1 - level)

    def excess(p: float) -> float:
        return float(mixture_evidence(successes, n, p)) - threshold

    share = successes / n
    low = 0.0 if successes == 0 else float(optimize.brentq(excess, 0.0, share, xtol=1e-15))
    high = 1.0 if successes == n else float(optimize.brentq(excess, share, 1.0, xtol=1e-15))
    return Interval(low=low, high=high, method="bernoulli_mixture_sequence", level=level)


def betting_sequence(
    values: NDArray[np.float64], bounds: tuple[float, float] = (0.0, 1.0), level: float = LEVEL
) -> Interval:
    """Confidence sequence of the mean of values within `bounds`, (n,) in the order in which they came, n ≥ 1.

    Hedged capital with predictable plug-in bets, truncated at ½ (Waudby-Smith & Ramdas 2024, JRSS B
    86:1): the means against which neither the bet on more nor the bet on less has earned 2/α.
    No running intersection; widened where needed to hold the mean of the values.
    """
    floor, ceiling = bounds
    x = (np.asarray(values, dtype=np.float64) - floor) / (ceiling - floor)
    if x.min() < 0 or x.max() > 1:
        raise ValueError(f"values outside {bounds}: the sequence holds for bounded values alone")
    bets, threshold = _plug_in_bets(x, 1 - level), math.log(2 / (1 - level))

    def above(m: float) -> float:  # ln capital of who bets on more than m: falls in m
        return float(np.log1p(np.minimum(bets, 0.5 / m) * (x - m)).sum()) - threshold

    def below(m: float) -> float:  # of who bets on less than m: rises in m
        return float(np.log1p(-np.minimum(bets, 0.5 / (1 - m)) * (x - m)).sum()) - threshold

    edge, mean = 1e-12, float(x.mean())
    low = float(optimize.brentq(above, edge, 1 - edge, xtol=1e-14)) if above(edge) > 0 else 0.0
    high = float(optimize.brentq(below, edge, 1 - edge, xtol=1e-14)) if below(1 - edge) > 0 else 1.0
    width = ceiling - floor
    return Interval(
        low=floor + width * min(low, mean),
        high=floor + width * max(high, mean),
        method="betting_sequence",
        level=level,
    )


def _plug_in_bets(x: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """(n,) bets, each from the values before it: √(2·ln(2/α)/(σ̂²_{t−1}·t·ln(t + 1)))."""
    t = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (t + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    return np.sqrt(2 * math.log(2 / alpha) / (before * t * np.log(t + 1)))
