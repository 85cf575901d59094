"""Confidence sequences: published values, exact crossing probabilities, the paper's formulas, simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from evaluations import stats


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (60, 100, 0.4408, 0.7460),
        (600, 1000, 0.5446, 0.6538),
        (95, 100, 0.8397, 0.9934),
        (0, 100, 0.0, 0.0733),
        (100, 100, 0.9267, 1.0),
    ],
)
def test_golden_values_of_the_uniform_mixture(successes: int, n: int, low: float, high: float) -> None:
    interval = stats.bernoulli_sequence(successes, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("n", "p"), [(1, 0.3), (10, 0.5), (200, 0.02)])
def test_evidence_against_the_truth_is_1_on_average(n: int, p: float) -> None:
    counts = np.arange(n + 1)
    weighted = np.exp(scipy_stats.binom.logpmf(counts, n, p) + stats.mixture_evidence(counts, n, p))
    # The uniform mixture in other words: every count is equally likely, 1/(n + 1).
    assert weighted == pytest.approx(np.full(n + 1, 1 / (n + 1)))


@pytest.mark.parametrize("p", [0.02, 0.1, 0.5, 0.9])
def test_looking_after_every_row_misses_the_truth_in_at_most_5_percent_by_enumeration(p: float) -> None:
    """The law of the count among runs that have not excluded p yet, row by row up to 600."""
    alive, missed = np.array([1.0]), 0.0
    for n in range(1, 601):
        alive = np.append(alive * (1 - p), 0) + np.append(0, alive * p)
        out = stats.mixture_evidence(np.arange(n + 1), n, p) >= np.log(20)
        missed += alive[out].sum()
        alive[out] = 0
    assert 0.01 < missed <= 0.05
    assert missed + alive.sum() == pytest.approx(1)


def test_the_interval_ends_where_the_evidence_reaches_20() -> None:
    for successes, n in [(0, 1), (1, 1), (3, 7), (499, 500), (12_345, 99_999)]:
        interval = stats.bernoulli_sequence(successes, n)
        for end in (interval.low, interval.high):
            if 0 < end < 1:
                assert float(stats.mixture_evidence(successes, n, end)) == pytest.approx(np.log(20), abs=1e-6)


# --- bounded means --------------------------------------------------------------------------------


def betting_by_grid(x: np.ndarray, grid: np.ndarray) -> tuple[float, float]:
    """The hedged capital of Waudby-Smith & Ramdas 2024, row by row and mean by mean."""
    up, down = np.zeros(len(grid)), np.zeros(len(grid))
    total, squares = 0.0, 0.0
    for t, value in enumerate(x, start=1):
        variance = (0.25 + squares) / t
        bet = np.sqrt(2 * np.log(2 / 0.05) / (variance * t * np.log(1 + t)))
        up += np.log(1 + np.minimum(bet, 0.5 / grid) * (value - grid))
        down += np.log(1 - np.minimum(bet, 0.5 / (1 - grid)) * (value - grid))
        total += value
        squares += (value - (0.5 + total) / (t + 1)) ** 2
    kept = grid[np.maximum(up, down) + np.log(0.5) < np.log(20)]
    return float(kept.min()), float(kept.max())


def empirical_bernstein(x: np.ndarray) -> tuple[float, float]:
    """The closed form of the same paper: wider, and derived another way."""
    t = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (t + 1)
    variances = np.append(0.25, (0.25 + np.cumsum((x - means) ** 2)) / (t + 1))[:-1]
    bets = np.minimum(np.sqrt(2 * np.log(2 / 0.05) / (variances * t * np.log(1 + t))), 0.5)
    spread = 4 * (x - np.append(0.5, means)[:-1]) ** 2 @ ((-np.log(1 - bets) - bets) / 4)
    centre, half = bets @ x / bets.sum(), (np.log(2 / 0.05) + spread) / bets.sum()
    return float(centre - half), float(centre + half)


@pytest.mark.parametrize(("a", "b", "n"), [(5, 2, 50), (0.5, 0.5, 400), (1, 30, 2000)])
def test_betting_equals_the_papers_formulas_on_a_grid(a: float, b: float, n: int) -> None:
    x = np.random.default_rng(n).beta(a, b, n)
    interval = stats.betting_sequence(x)
    grid = np.linspace(0.0005, 0.9995, 1999)
    assert (interval.low, interval.high) == pytest.approx(betting_by_grid(x, grid), abs=6e-4)


def test_betting_is_narrower_than_empirical_bernstein_and_agrees_with_it() -> None:
    x = np.random.default_rng(2).beta(2, 6, 1500)
    interval, (low, high) = stats.betting_sequence(x), empirical_bernstein(x)
    assert low < interval.low < 0.25 < interval.high < high
    assert high - low < 1.6 * (interval.high - interval.low)


@pytest.mark.parametrize(("a", "b"), [(2.0, 6.0), (0.2, 1.8)])
def test_betting_holds_the_mean_at_all_looks_together(a: float, b: float) -> None:
    rng, held = np.random.default_rng(4), 0
    looks = [5, 10, 20, 40, 80, 160, 320]
    for _ in range(300):
        x = rng.beta(a, b, looks[-1])
        ends = [stats.betting_sequence(x[:n]) for n in looks]
        held += all(e.low <= a / (a + b) <= e.high for e in ends)
    assert held / 300 >= 0.95


def test_betting_takes_values_within_other_bounds() -> None:
    x = np.random.default_rng(5).random(200)
    unit, moved = stats.betting_sequence(x), stats.betting_sequence(8 * x - 3, (-3.0, 5.0))
    assert (moved.low, moved.high) == pytest.approx((8 * unit.low - 3, 8 * unit.high - 3))
    with pytest.raises(ValueError, match="outside"):
        stats.betting_sequence(np.array([0.5, 1.2]))


def test_betting_on_values_that_never_vary_keeps_a_width() -> None:
    for value in (0.0, 0.5, 1.0):
        interval = stats.betting_sequence(np.full(60, value))
        assert interval.low <= value <= interval.high
        assert interval.high - interval.low > 0.05
