"""Resampling against scipy's bootstrap, closed forms and seeded simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from evaluations import stats

SKEWED = np.random.default_rng(0).lognormal(sigma=1, size=60)


def variances(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows.var(axis=1, ddof=1))


def test_bca_equals_scipy_on_the_same_draws() -> None:
    theirs = scipy_stats.bootstrap(
        (SKEWED,), lambda x, axis: x.var(axis=axis, ddof=1), method="BCa", n_resamples=9_999,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    left_out = np.array([np.delete(SKEWED, i).var(ddof=1) for i in range(60)])
    low, high = stats.bca(SKEWED.var(ddof=1), theirs.bootstrap_distribution, left_out)
    expected = theirs.confidence_interval
    # Scipy interpolates between order statistics, ours takes the nearest.
    assert low == pytest.approx(expected.low, rel=2e-3)
    assert high == pytest.approx(expected.high, rel=2e-2)
    plain = stats.percentile(theirs.bootstrap_distribution)
    assert low > plain[0]
    assert high > 1.1 * plain[1]


def test_bca_over_rows_draws_and_leaves_out_by_itself() -> None:
    found = stats.bca_bootstrap(SKEWED, variances, np.random.default_rng(2))
    left_out = np.array([np.delete(SKEWED, i).var(ddof=1) for i in range(60)])
    draws = variances(SKEWED[np.random.default_rng(2).integers(0, 60, (9_999, 60))])
    assert found == pytest.approx(stats.bca(float(SKEWED.var(ddof=1)), draws, left_out))


def test_bca_of_a_symmetric_statistic_is_the_percentile_interval() -> None:
    values = np.concatenate([np.arange(-20.0, 0), np.arange(1.0, 21)])
    draws = np.random.default_rng(3).choice(values, (9_999, 40)).mean(axis=1)
    draws = np.concatenate([draws, -draws])
    left_out = -values / 39
    assert stats.bca(0.0, draws, left_out) == pytest.approx(stats.percentile(draws), abs=0.02)


def test_bca_where_nothing_varies_is_the_percentile_interval() -> None:
    assert stats.bca(1.0, np.ones(999), np.ones(10)) == (1.0, 1.0)


def test_clusters_are_resampled_whole() -> None:
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(80), 5)
    values = np.repeat(rng.normal(size=80), 5) + rng.normal(size=400)
    sums = np.column_stack([np.bincount(clusters, values), np.bincount(clusters)])
    draws = stats.cluster_bootstrap(sums, lambda s: s[:, 0] / s[:, 1], rng)
    assert draws.std() == pytest.approx(stats.clustered_se(values, clusters), rel=0.04)
    assert draws.std() > 1.6 * values.std() / 20


def test_clusters_of_one_row_are_rows() -> None:
    values = np.random.default_rng(5).exponential(size=120)
    sums = np.column_stack([values, np.ones(120)])
    draws = stats.cluster_bootstrap(sums, lambda s: s[:, 0] / s[:, 1], np.random.default_rng(6))
    rows = stats.bootstrap(values, lambda r: r.mean(axis=1), np.random.default_rng(7))
    assert stats.percentile(draws) == pytest.approx(rows, abs=0.02)


def test_clustered_bootstrap_of_a_ratio_covers() -> None:
    rng, held = np.random.default_rng(8), 0
    for _ in range(200):
        sizes = rng.integers(1, 9, 60)
        hits = rng.binomial(sizes, rng.beta(3, 1, 60))
        sums = np.column_stack([hits, sizes]).astype(float)
        draws = stats.cluster_bootstrap(sums, lambda s: s[:, 0] / s[:, 1], rng, draws=399)
        total = sums.sum(axis=0)
        rest = total - sums
        low, high = stats.bca(total[0] / total[1], draws, rest[:, 0] / rest[:, 1])
        held += low <= 0.75 <= high
    assert held / 200 >= 0.91
