"""How many examples an answer takes, and how small an effect a number of examples can show.

Light: the web process plans with it.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from evaluations.stats.constants import LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def n_for_effect(variance: float, effect: float, power: float = 0.8, level: float = LEVEL) -> int:
    """Examples that show a mean to differ by `effect` > 0: (z_{1−α/2} + z_power)²·variance/effect², rounded up.

    `variance` is that of one row: p(1 − p) for a proportion, that of the differences where two versions
    are compared on the same rows, either one times the design effect where rows come in clusters
    (Miller 2024, arXiv 2411.00640).
    """
    return max(1, math.ceil(_reach(power, level) ** 2 * variance / effect**2 - 1e-9))


def detectable_effect(n: float, variance: float, power: float = 0.8, level: float = LEVEL) -> float:
    """The smallest difference of a mean that n rows show: `n_for_effect` solved for the effect.

    Pass an effective n where rows come in clusters.
    """
    return _reach(power, level) * math.sqrt(variance / max(1.0, n))


def smallest_detectable_effect(n: int, power: float = 0.8, p: float = 0.5) -> float:
    """Smallest difference from a limit that n examples detect at 95 % two-sided: (z₀.₉₇₅ + z_power)·√(p(1−p)/n)."""
    return detectable_effect(n, p * (1 - p), power)


def sequential_detectable_effect(n: int, power: float = 0.8, p: float = 0.5, level: float = LEVEL) -> float:
    """`smallest_detectable_effect` where a run may stop early: `bernoulli_sequence` has most likely settled by n rows.

    (c + z_power)·√(p(1 − p)/n), c² = 2·ln(1/α) + ln(n/(2πp(1 − p))): where the normal approximation of the
    mixture's evidence reaches 1/α (Robbins 1970, Ann. Math. Stat. 41:1397).
    """
    variance = p * (1 - p)
    reach = math.sqrt(-2 * math.log(1 - level) + math.log(max(1.0, n / (2 * math.pi * variance))))
    return (reach + _quantile(power)) * math.sqrt(variance / max(1, n))


def paired_variance(first_alone: float, second_alone: float) -> float:
    """Variance of the difference of two right-or-wrong answers to the same row, from the shares of discordant pairs.

    b + c − (b − c)² (Connor 1987, Biometrics 43:207).
    """
    return first_alone + second_alone - (first_alone - second_alone) ** 2


def n_without_events(rate: float, level: float = LEVEL) -> int:
    """Examples without a single event that bound a rate below `rate`: the first n with (1 − rate)^n ≤ α/2.

    Clopper & Pearson 1934. At 95 %: 72 for 5 %, 368 for 1 %, 3,688 for 0.1 %.
    """
    return math.ceil(math.log((1 - level) / 2) / math.log1p(-rate))


def repeat_components(scores: NDArray[np.float64]) -> tuple[float, float]:
    """(Var_x, E[σ²]) of (n, K) scores, K ≥ 2 repeats of each of n ≥ 2 questions: between questions and within them.

    Unbiased one-way analysis of variance (Searle, Casella & McCulloch 1992); Var_x is at least 0.
    """
    within = float(scores.var(axis=1, ddof=1).mean())
    between = float(scores.mean(axis=1).var(ddof=1)) - within / scores.shape[1]
    return max(0.0, between), within


def repeated_mean_variance(between: float, within: float, n: int, repeats: int) -> float:
    """Variance of the mean over n questions with K repeats each: (Var_x + E[σ²]/K)/n (Miller 2024).

    For planning alone: the variance of the question means divided by n holds both parts already.
    """
    return (between + within / repeats) / n


def _reach(power: float, level: float) -> float:
    return _quantile((1 + level) / 2) + _quantile(power)


def _quantile(probability: float) -> float:
    """Of the standard normal distribution."""
    return NormalDist().inv_cdf(probability)
