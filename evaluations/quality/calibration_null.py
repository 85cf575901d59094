"""The ECE that a perfectly calibrated model would show: its exact law per bin, and draws of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from evaluations import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray


def poisson_binomial(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(k of the independent events happen), k = 0 … n: the product of the polynomials 1 − p_i + p_i·x.

    Multiplied in pairs by Fourier transform, so n·log²n steps instead of n² (Hong 2013, CSDA 59:41).
    """
    factors = np.stack([1 - p, p], axis=1)
    while len(factors) > 1:
        if len(factors) % 2:
            factors = np.vstack([factors, np.eye(1, factors.shape[1])])
        left, right, size = factors[0::2], factors[1::2], 2 * factors.shape[1] - 1
        if size <= 9:
            factors = np.zeros((len(left), size))
            for k in range(left.shape[1]):
                factors[:, k : k + right.shape[1]] += left[:, k : k + 1] * right
        else:
            fast = fft.next_fast_len(size, real=True)
            product = fft.rfft(left, fast, axis=1) * fft.rfft(right, fast, axis=1)
            factors = fft.irfft(product, fast, axis=1)[:, :size]
    law = np.clip(factors[0, : len(p) + 1], 0, None)
    return np.asarray(law / law.sum())


class Null:
    """Right ~ Bernoulli(confidence), independently: Σ_b |right_b − Σ confidence|/n over the given bins."""

    def __init__(self, confidence: NDArray[np.float64], index: NDArray[np.int64]) -> None:
        self.n = len(confidence)
        order = np.lexsort((confidence, index))
        edges: NDArray[np.int64] = np.flatnonzero(np.diff(index[order])) + 1
        held = np.split(confidence[order], edges)
        self.laws = [poisson_binomial(p) for p in held]
        self.gaps = [np.abs(np.arange(len(p) + 1) - p.sum()) / self.n for p in held]  # by number right

    @property
    def mean(self) -> float:
        return float(sum(law @ gap for law, gap in zip(self.laws, self.gaps, strict=True)))

    def draw(self, rng: np.random.Generator, draws: int = stats.DRAWS) -> NDArray[np.float64]:
        found = np.zeros(draws)
        for law, gap in zip(self.laws, self.gaps, strict=True):
            reached = np.searchsorted(np.cumsum(law)[:-1], rng.random(draws), side="right")
            found += gap[reached]
        return found
