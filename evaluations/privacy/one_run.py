"""What right guesses about canaries prove of a model's privacy, from one training run."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

STEPS = 60  # halvings: the bound is exact to 1e-15 of its bracket


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """At most how likely it is that `right` or more of `guesses` are right, where training is (ε, δ)-private.

    `canaries` were each included by an independent fair coin; 0 ≤ right ≤ guesses ≤ canaries. Without δ the number
    of right guesses is at most that of randomised response, Binomial(guesses, e^ε/(1 + e^ε)). With δ it may rise by
    i at a price of 2·δ·canaries·P[right − i ≤ Binomial < right]/i, whichever i is dearest: Steinke, Nasr &
    Jagielski 2023, arXiv 2305.08846, corollary 5.4 and appendix D.
    """
    q = 1 / (1 + math.exp(-epsilon))
    at_least = float(special.betainc(right, guesses - right + 1, q)) if right else 1.0  # P[Binomial ≥ right]
    if delta == 0 or right == 0:
        return min(1.0, at_least)
    counts = np.arange(right - 1, -1, -1)
    ways = special.gammaln(guesses + 1) - special.gammaln(counts + 1) - special.gammaln(guesses - counts + 1)
    each = np.exp(
        ways + special.xlogy(counts, q) + special.xlog1py(guesses - counts, -q)
    )  # P[Binomial = count]
    just_below = np.cumsum(each)  # P[right − i ≤ Binomial < right] for i = 1, 2, …
    dearest = float((just_below / np.arange(1, right + 1)).max())
    return min(1.0, at_least + 2 * delta * canaries * dearest)


def epsilon_lower_bound(canaries: int, guesses: int, right: int, delta: float, beta: float) -> float:
    """The largest ε whose p value is at most β: with confidence 1 − β training is not (ε, δ)-private below it.

    0 where even ε = 0 is not refuted.
    """

    def refuted(epsilon: float) -> bool:
        return p_value(canaries, guesses, right, epsilon, delta) <= beta

    if guesses == 0 or not refuted(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while refuted(high):
        low, high = high, 2 * high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
