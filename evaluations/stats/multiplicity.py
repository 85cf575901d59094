"""Many questions at once: adjusted p values, and intervals that hold for all groups together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations.stats.constants import LEVEL

if TYPE_CHECKING:
    from numpy.typing import NDArray


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) p values adjusted so that rejecting where ≤ α makes any false rejection with probability ≤ α.

    Holm 1979, Scand. J. Statist. 6:65; holds under any dependence.
    """
    m, order = len(p), np.argsort(p, kind="stable")
    adjusted: NDArray[np.float64] = np.empty(m)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate((m - np.arange(m)) * p[order]))
    return adjusted


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) p values adjusted so that of those ≤ α a share of at most α is false on average.

    Benjamini & Hochberg 1995, JRSS B 57:289; for independent or positively dependent tests.
    """
    m, order = len(p), np.argsort(p, kind="stable")
    adjusted: NDArray[np.float64] = np.empty(m)
    steps = (m / np.arange(1, m + 1) * p[order])[::-1]
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(steps)[::-1])
    return adjusted


@dataclass(frozen=True)
class Simultaneous:
    """Intervals of G groups that hold together, and the p value of each group's difference from `null`."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p: NDArray[np.float64]
    critical: float  # how many standard errors each reaches out

    def smallest(self) -> tuple[float, float]:
        """Bounds of the smallest true value, whichever group has it."""
        return float(self.low.min()), float(self.high.min())

    def largest(self) -> tuple[float, float]:
        """Bounds of the largest true value."""
        return float(self.low.max()), float(self.high.max())


def max_t(
    estimates: NDArray[np.float64],
    draws: NDArray[np.float64],
    null: NDArray[np.float64] | float = 0.0,
    level: float = LEVEL,
) -> Simultaneous:
    """Single-step max-T over (G,) estimates and their joint (B, G) bootstrap draws.

    t_b = max_g |draw_bg − estimate_g| / se_g with se the standard deviation of the draws; every interval is
    estimate ± c·se with c the `level` quantile of t (Westfall & Young 1993; Romano & Wolf 2005). The worst
    of many groups is thus not taken at its luckiest. Raises ValueError where a group's draws never vary, as those of
    a perfect score: soften its cells before drawing.
    """
    se = draws.std(axis=0, ddof=1)
    if not (se > 0).all():
        raise ValueError(f"the draws of the groups {np.flatnonzero(~(se > 0)).tolist()} never vary")
    largest = np.sort((np.abs(draws - estimates) / se).max(axis=1))
    critical = float(largest[min(len(largest), int(np.ceil(level * (len(largest) + 1)))) - 1])
    at_least = len(largest) - np.searchsorted(largest, np.abs(estimates - null) / se - 1e-12)
    return Simultaneous(
        estimates - critical * se, estimates + critical * se, (1 + at_least) / (len(largest) + 1), critical
    )
