"""Paired differences against Newcombe's published values, statsmodels, enumeration and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar

from evaluations import stats


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:2635, method 10.
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((20, 10, 2, 18), 0.0250, 0.2839),
    ],
)
def test_published_values_of_method_10(cells: tuple[int, int, int, int], low: float, high: float) -> None:
    interval = stats.newcombe_paired(*cells)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


def test_swapping_the_versions_mirrors_the_interval() -> None:
    one, other = stats.newcombe_paired(30, 9, 4, 7), stats.newcombe_paired(30, 4, 9, 7)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.parametrize("cells", [(40, 0, 0, 0), (0, 0, 0, 40), (0, 40, 0, 0), (20, 0, 0, 20), (1, 0, 0, 0)])
def test_tables_with_empty_cells_keep_a_width(cells: tuple[int, int, int, int]) -> None:
    interval = stats.newcombe_paired(*cells)
    difference = (cells[1] - cells[2]) / sum(cells)
    assert interval.low <= difference <= interval.high
    assert interval.high - interval.low > 0.01


@pytest.mark.parametrize("p", [(0.7, 0.1, 0.1, 0.1), (0.8, 0.1, 0.02, 0.08), (0.3, 0.3, 0.1, 0.3)])
def test_method_10_covers_by_enumeration(p: tuple[float, float, float, float]) -> None:
    n, held, truth = 30, 0.0, p[1] - p[2]
    law = scipy_stats.multinomial(n, p)
    for a in range(n + 1):
        for b in range(n + 1 - a):
            cells = np.array([(a, b, c, n - a - b - c) for c in range(n + 1 - a - b)])
            for cell, weight in zip(cells, law.pmf(cells), strict=True):
                if weight > 1e-9:
                    interval = stats.newcombe_paired(*(int(x) for x in cell))
                    held += weight * (interval.low <= truth <= interval.high)
    assert held >= 0.94


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (9, 2), (5, 5), (30, 51)])
def test_mcnemar_equals_statsmodels(b: int, c: int) -> None:
    expected = mcnemar([[10, b], [c, 10]], exact=True).pvalue if b + c else 1.0
    assert stats.mcnemar_exact(b, c) == pytest.approx(expected)


def test_rows_of_two_versions_give_the_table_of_pairs() -> None:
    first = np.repeat([True, True, False, False], [36, 12, 2, 0])
    second = np.repeat([True, False, True, False], [36, 12, 2, 0])
    found = stats.paired_proportions(first, second)
    assert found.value == pytest.approx(0.2)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)
    same = stats.paired_proportions(first, second, clusters=np.arange(50))
    assert (same.interval.low, same.interval.high) == pytest.approx((found.interval.low, found.interval.high))


def test_rows_without_an_answer_count_against_either_version() -> None:
    first, second = np.array([True] * 50 + [False] * 50), np.array([True] * 50 + [False] * 50)
    answered = np.arange(100) != 0
    found = stats.paired_proportions(first, second, answered=answered)
    assert found.value == 0
    assert found.interval.low == pytest.approx(stats.newcombe_paired(49, 0, 1, 50).low)
    assert found.interval.high == pytest.approx(stats.newcombe_paired(49, 1, 0, 50).high)


def test_versions_that_never_differ_are_worth_one_row_per_cluster() -> None:
    right, clusters = np.tile([True, False], 40), np.repeat(np.arange(20), 4)
    found = stats.paired_proportions(right, right, clusters)
    assert found.n_effective == 20
    assert found.interval.high > 0.05


def test_paired_interval_covers_with_clusters() -> None:
    rng, held = np.random.default_rng(8), 0
    clusters = np.repeat(np.arange(50), 4)
    for _ in range(800):  # whole clusters lean to one version: differences of a cluster hang together
        gain = np.repeat(rng.choice([-0.25, 0.0, 0.4], 50, p=[0.3, 0.4, 0.3]), 4)
        u = rng.random(200)
        first, second = u < 0.55 + np.maximum(gain, 0), u < 0.55 + np.maximum(-gain, 0)
        interval = stats.paired_proportions(first, second, clusters).interval
        held += interval.low <= 0.3 * (0.4 - 0.25) <= interval.high
    assert held / 800 >= 0.93
