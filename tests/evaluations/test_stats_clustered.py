"""Intervals over clusters against statsmodels, closed forms and seeded simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats as scipy_stats

from evaluations import stats


def clustered_hits(
    rng: np.random.Generator, clusters: int, size: int, p: float, alike: float
) -> tuple[np.ndarray, np.ndarray]:
    """Beta-binomial answers: `alike` is the correlation of two rows of a cluster."""
    k = (1 - alike) / alike
    rates = rng.beta(p * k, (1 - p) * k, clusters)
    return (rng.random((clusters, size)) < rates[:, None]).ravel(), np.repeat(np.arange(clusters), size)


@pytest.mark.parametrize("clusters", [2, 7, 40])
def test_clustered_error_and_interval_equal_statsmodels(clusters: int) -> None:
    rng = np.random.default_rng(clusters)
    groups = np.concatenate([np.arange(clusters), rng.integers(0, clusters, 150)])
    values = rng.normal(size=len(groups)) + 0.8 * groups
    fit = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    assert stats.clustered_se(values, groups) == pytest.approx(float(fit.bse[0]), rel=1e-12)
    interval = stats.mean_interval(values, clusters=groups)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(tuple(fit.conf_int()[0]), rel=1e-9)
    assert interval.method == "t_clustered"


def test_clusters_of_one_row_change_nothing() -> None:
    values = np.random.default_rng(1).normal(size=30)
    plain, clustered = stats.mean_interval(values), stats.mean_interval(values, clusters=np.arange(30))
    assert plain is not None
    assert clustered is not None
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high))
    hits = values > 0
    estimate = stats.proportion(hits, np.arange(30))
    wilson = stats.wilson(int(hits.sum()), 30)
    assert estimate.n_effective == pytest.approx(30)
    assert (estimate.interval.low, estimate.interval.high) == pytest.approx((wilson.low, wilson.high))


def test_clusters_that_agree_count_once() -> None:
    hits, clusters = np.repeat([True] * 15 + [False] * 5, 8), np.repeat(np.arange(20), 8)
    # Every row repeated m times: deff = m·(n − 1)/n / ((C − 1)/C), so just under C rows' worth.
    deff = (0.75 * 0.25 / 19) / (0.75 * 0.25 / 159)
    assert stats.effective_n(hits.astype(float), clusters) == pytest.approx(160 / deff)
    perfect = stats.proportion(np.ones(160, bool), clusters)
    assert perfect.n_effective == 20
    assert perfect.interval.low == pytest.approx(stats.wilson(20, 20).low)
    assert perfect.interval.high == 1


def test_one_cluster_says_nothing_about_a_mean_and_is_worth_one_row() -> None:
    values = np.array([0.0, 1.0, 1.0])
    assert stats.mean_interval(values, clusters=np.zeros(3)) is None
    assert stats.effective_n(values, np.zeros(3)) == 1


def test_exact_interval_takes_fractional_counts() -> None:
    hits, clusters = clustered_hits(np.random.default_rng(4), 30, 6, 0.8, 0.4)
    found = stats.proportion(hits, clusters, method="clopper_pearson")
    n, k = found.n_effective, hits.mean() * found.n_effective
    assert found.interval.method == "clopper_pearson_clustered"
    assert found.interval.low == pytest.approx(scipy_stats.beta.ppf(0.025, k, n - k + 1))
    assert found.interval.high == pytest.approx(scipy_stats.beta.ppf(0.975, k + 1, n - k))


def test_rows_without_an_answer_count_for_both_ends() -> None:
    hits = np.array([True] * 80 + [False] * 20)
    answered = np.ones(100, bool)
    answered[[0, 99]] = False
    found = stats.proportion(hits, answered=answered)
    assert found.value == 79 / 98
    assert found.interval.low == pytest.approx(stats.wilson(79, 100).low)
    assert found.interval.high == pytest.approx(stats.wilson(81, 100).high)


@pytest.mark.parametrize(("p", "alike"), [(0.5, 0.3), (0.9, 0.3), (0.9, 0.8)])
def test_clustered_wilson_covers_where_the_plain_one_does_not(p: float, alike: float) -> None:
    rng = np.random.default_rng(11)
    held, plain = 0, 0
    for _ in range(1000):
        hits, clusters = clustered_hits(rng, 60, 5, p, alike)
        interval = stats.proportion(hits, clusters).interval
        held += interval.low <= p <= interval.high
        interval = stats.wilson(int(hits.sum()), len(hits))
        plain += interval.low <= p <= interval.high
    assert held / 1000 >= 0.93
    assert plain / 1000 < 0.87


def test_few_clusters_are_allowed_for_and_clusters_of_one_row_change_nothing() -> None:
    rng = np.random.default_rng(12)
    held = 0
    for _ in range(1000):
        hits, clusters = clustered_hits(rng, 6, 20, 0.6, 0.2)
        interval = stats.proportion(hits, clusters).interval
        held += interval.low <= 0.6 <= interval.high
    assert held / 1000 >= 0.935  # at the effective n alone: 0.89
    hits = rng.random(40) < 0.7
    alone, plain = stats.proportion(hits, np.arange(40)).interval, stats.proportion(hits).interval
    assert (alone.low, alone.high) == pytest.approx((plain.low, plain.high))


def test_values_that_are_all_the_same_say_nothing_about_the_error_of_their_mean() -> None:
    assert stats.mean_interval(np.full(5, 0.2)) is None
    assert stats.mean_interval(np.full(6, 0.2), clusters=np.repeat([0, 1], 3)) is None


def test_clustered_mean_covers() -> None:
    rng = np.random.default_rng(12)
    clusters, held = np.repeat(np.arange(12), 6), 0
    for _ in range(1000):
        values = rng.normal(size=72) + np.repeat(rng.normal(size=12), 6)
        interval = stats.mean_interval(values, clusters=clusters)
        assert interval is not None
        held += interval.low <= 0 <= interval.high
    assert 0.935 <= held / 1000 <= 0.965
