"""Split conformal prediction: the rank of its quantile, and what coverage a valid predictor shows on a test set."""

from __future__ import annotations

import math

from scipy import stats as scipy_stats

from evaluations.stats.constants import LEVEL


def conformal_rank(n: int, alpha: float) -> int:
    """Rank of the calibration score that is the threshold: ⌈(n + 1)(1 − α)⌉ of n. Above n: the threshold is +∞.

    Vovk, Gammerman & Shafer 2005; Angelopoulos & Bates 2021, arXiv 2107.07511.
    """
    return math.ceil((n + 1) * (1 - alpha) - 1e-9)


def coverage_band(n: int, n_test: int, alpha: float, level: float = LEVEL) -> tuple[float, float]:
    """Between which shares the coverage on `n_test` rows lies with probability `level`, if all is well.

    Covered rows ~ Beta-binomial(n_test, n + 1 − l, l), l = ⌊(n + 1)α⌋, n calibration rows, scores without
    ties (Vovk 2012, ACML; Angelopoulos & Bates 2021). (1, 1) where l = 0: everything is covered.
    """
    left_out = n + 1 - conformal_rank(n, alpha)
    if left_out < 1:
        return 1.0, 1.0
    law = scipy_stats.betabinom(n_test, n + 1 - left_out, left_out)
    low, high = law.ppf([(1 - level) / 2, (1 + level) / 2])
    return float(low) / n_test, float(high) / n_test
