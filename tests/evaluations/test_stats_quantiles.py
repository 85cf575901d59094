"""Quantile intervals and the conformal coverage band against scipy, order-statistic theory and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from evaluations import stats


@pytest.mark.parametrize(("q", "n"), [(0.5, 6), (0.9, 36), (0.99, 368)])
def test_fewest_values_that_bound_a_quantile_on_both_sides(q: float, n: int) -> None:
    values = np.random.default_rng(0).exponential(size=n)
    assert stats.quantile_interval(values, q) is not None
    assert stats.quantile_interval(values[:-1], q) is None
    assert stats.quantile_interval(values[:0], q) is None


@pytest.mark.parametrize(("q", "n"), [(0.5, 6), (0.5, 101), (0.9, 200), (0.99, 368), (0.99, 2000)])
def test_order_statistics_cover_at_least_95_percent_and_are_as_near_as_they_get(q: float, n: int) -> None:
    # The r-th smallest of n uniforms is Beta(r, n + 1 − r); values 1 … n name their own ranks.
    interval = stats.quantile_interval(np.arange(1, n + 1, dtype=float), q)
    assert interval is not None
    r, s = int(interval.low), int(interval.high)
    assert scipy_stats.beta.sf(q, r, n + 1 - r) <= 0.025
    assert scipy_stats.beta.sf(q, r + 1, n - r) > 0.025
    assert scipy_stats.beta.cdf(q, s, n + 1 - s) <= 0.025
    assert s == 1 or scipy_stats.beta.cdf(q, s - 1, n + 2 - s) > 0.025


@pytest.mark.parametrize(("q", "n"), [(0.5, 60), (0.9, 150), (0.99, 900)])
def test_order_statistics_agree_with_scipys_quantile_test(q: float, n: int) -> None:
    values = np.random.default_rng(n).lognormal(size=n)
    theirs = scipy_stats.quantile_test(values, q=0, p=q).confidence_interval(0.95)
    interval = stats.quantile_interval(values, q)
    assert interval is not None
    assert (interval.low, interval.high) == (theirs.low, theirs.high)


def test_sample_quantile_is_a_value_that_occurred() -> None:
    values = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    assert [stats.sample_quantile(values, q) for q in (0.2, 0.5, 0.9, 1.0)] == [1, 3, 5, 5]


def test_blocks_cover_where_values_hang_together() -> None:
    rng, held, plain = np.random.default_rng(5), 0, 0
    truth = float(np.sqrt(2) * scipy_stats.norm.ppf(0.9))
    blocks = np.repeat(np.arange(60), 10)
    for _ in range(150):
        values = np.repeat(rng.normal(size=60), 10) + rng.normal(size=600)
        block = stats.block_quantile_interval(values, blocks, 0.9, rng, draws=399)
        order = stats.quantile_interval(values, 0.9)
        assert block is not None
        assert order is not None
        held += block.low <= truth <= block.high
        plain += order.low <= truth <= order.high
    assert held / 150 >= 0.9
    assert plain < held - 20


def test_blocks_of_one_value_give_what_scipys_bootstrap_gives() -> None:
    values = np.random.default_rng(2).exponential(size=200)
    ours = stats.block_quantile_interval(values, np.arange(200), 0.5, np.random.default_rng(3))
    theirs = scipy_stats.bootstrap(
        (values,),
        lambda x, axis: np.quantile(x, 0.5, axis=axis, method="inverted_cdf"),
        method="percentile",
        rng=np.random.default_rng(4),
    ).confidence_interval
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_few_blocks_say_nothing() -> None:
    values = np.random.default_rng(2).exponential(size=90)
    rng = np.random.default_rng(3)
    assert stats.block_quantile_interval(values, np.repeat(np.arange(9), 10), 0.5, rng) is None
    assert stats.block_quantile_interval(values, np.arange(90), 0.99, rng) is None


def test_golden_coverage_band() -> None:
    assert stats.coverage_band(1000, 1000, 0.1) == (0.873, 0.925)


@pytest.mark.parametrize(("n", "alpha", "rank"), [(1000, 0.1, 901), (9, 0.1, 9), (8, 0.1, 9), (19, 0.05, 19)])
def test_rank_of_the_conformal_threshold(n: int, alpha: float, rank: int) -> None:
    assert stats.conformal_rank(n, alpha) == rank  # ⌈(n + 1)(1 − α)⌉, free of rounding: 10·0.9 is 9


def test_coverage_of_split_conformal_lies_in_the_band() -> None:
    rng = np.random.default_rng(6)
    scores, fresh = rng.random((4000, 200)), rng.random((4000, 300))
    cut = np.sort(scores, axis=1)[:, stats.conformal_rank(200, 0.1) - 1]
    coverage = (fresh <= cut[:, None]).mean(axis=1)
    low, high = stats.coverage_band(200, 300, 0.1)
    assert 0.945 <= ((low <= coverage) & (coverage <= high)).mean() <= 0.975
    assert (coverage < low).mean() <= 0.03
    assert (coverage > high).mean() <= 0.03


def test_too_few_calibration_rows_cover_everything() -> None:
    assert stats.coverage_band(8, 100, 0.1) == (1.0, 1.0)
