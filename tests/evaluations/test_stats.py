"""Intervals against published values, other libraries and exact enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from evaluations import stats
from evaluations.spec import Interval
from evaluations.stats import Proportion


@pytest.mark.parametrize(
    ("interval", "low", "high"),
    [
        (stats.wilson(50, 50), 0.92865, 1),
        (stats.clopper_pearson(50, 50), 0.92888, 1),
        (stats.clopper_pearson(12, 1000), 0.00622, 0.02087),
        (stats.wilson(12, 1000), 0.00688, 0.02086),
    ],
)
def test_golden_values_of_proportions(interval: stats.Interval, low: float, high: float) -> None:
    assert interval.low == pytest.approx(low, abs=5e-6)
    assert interval.high == pytest.approx(high, abs=5e-6)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 30), (7, 30), (30, 30), (12, 1000), (512, 1024)])
def test_proportions_agree_with_scipy(k: int, n: int) -> None:
    result = scipy_stats.binomtest(k, n)
    for ours, method in ((stats.wilson, "wilson"), (stats.clopper_pearson, "exact")):
        theirs = result.proportion_ci(method=method)
        mine = ours(k, n)
        assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def coverage(interval: object, n: int, p: float) -> float:
    """Exact: the probability, over every possible count, that the interval holds p."""
    assert callable(interval)
    counts = np.arange(n + 1)
    held = [interval(int(k), n).low <= p <= interval(int(k), n).high for k in counts]
    return float(scipy_stats.binom.pmf(counts, n, p) @ np.array(held))


def test_wilson_covers_922_in_a_thousand_at_50_and_98_percent() -> None:
    assert coverage(stats.wilson, 50, 0.98) == pytest.approx(0.922, abs=0.0005)


def mean_coverage(interval: object, n: int) -> float:
    """Exact coverage averaged over p ~ U(0, 1): the integral of each count's likelihood over its interval."""
    assert callable(interval)
    counts = np.arange(n + 1)
    ends = np.array([(found.low, found.high) for found in (interval(int(k), n) for k in counts)])
    below = scipy_stats.beta.cdf(ends, (counts + 1)[:, None], (n - counts + 1)[:, None])
    return float((below[:, 1] - below[:, 0]).sum() / (n + 1))


@pytest.mark.parametrize("n", [20, 21, 35, 50, 100, 250, 1000])
def test_wilson_covers_95_percent_on_average(n: int) -> None:
    assert 0.95 <= mean_coverage(stats.wilson, n) <= 0.9535
    assert n > 100 or mean_coverage(stats.wilson, n) >= 0.951
    assert mean_coverage(stats.clopper_pearson, n) > mean_coverage(stats.wilson, n)


def test_a_t_interval_covers_a_proportion_in_635_of_1000() -> None:
    def t(k: int, n: int) -> Interval:
        found = stats.mean_interval(np.repeat([1.0, 0.0], [k, n - k]))
        return found or Interval(low=k / n, high=k / n, method="t")  # of no width where all are the same

    assert coverage(t, 50, 0.98) == pytest.approx(0.635, abs=0.0005)


@pytest.mark.parametrize("n", [1, 5, 20, 60])
def test_clopper_pearson_covers_95_percent_everywhere(n: int) -> None:
    ps = np.linspace(0.001, 0.999, 333)
    ends = [stats.clopper_pearson(k, n) for k in range(n + 1)]
    low, high = np.array([e.low for e in ends]), np.array([e.high for e in ends])
    held = (low[:, None] <= ps) & (ps <= high[:, None])
    assert (scipy_stats.binom.pmf(np.arange(n + 1)[:, None], n, ps) * held).sum(axis=0).min() >= 0.95


def test_difference_agrees_with_newcombes_published_example() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80 gives 0.0524 to 0.3339.
    low, high = stats.mover_difference(Proportion(56, 70), Proportion(48, 80))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(
    ("na", "pa", "nb", "pb"), [(50, 0.5, 50, 0.5), (80, 0.1, 120, 0.25), (40, 0.9, 60, 0.95)]
)
def test_ratio_covers_on_either_side_by_enumeration(na: int, pa: float, nb: int, pb: float) -> None:
    truth, missed_low, missed_high = pa / pb, 0.0, 0.0
    for a in range(na + 1):
        for b in range(1, nb + 1):
            weight = scipy_stats.binom.pmf(a, na, pa) * scipy_stats.binom.pmf(b, nb, pb)
            if weight < 1e-9:
                continue
            low, high = stats.mover_ratio(Proportion(a, na), Proportion(b, nb))
            missed_low += weight * (low > truth)
            missed_high += weight * (high < truth)
    assert missed_low <= 0.04
    assert missed_high <= 0.04


def test_rows_without_an_answer_widen_the_interval_on_both_sides() -> None:
    part = Proportion(80, 98, unknown=2)
    assert part.bounds()[0] == pytest.approx(stats.wilson(80, 100).low)
    assert part.bounds()[1] == pytest.approx(stats.wilson(82, 100).high)


def test_balanced_mean_keeps_its_width_where_every_answer_is_right() -> None:
    interval = stats.mover_mean([Proportion(25, 25), Proportion(25, 25)])
    assert interval.high == 1
    assert 0.85 < interval.low < 0.95


def test_mean_of_proportions_covers_by_enumeration() -> None:
    pmf_a, pmf_b = (
        scipy_stats.binom.pmf(np.arange(41), 40, 0.95),
        scipy_stats.binom.pmf(np.arange(61), 60, 0.8),
    )
    held = 0.0
    for a in range(41):
        for b in range(61):
            interval = stats.mover_mean([Proportion(a, 40), Proportion(b, 60)])
            held += pmf_a[a] * pmf_b[b] * (interval.low <= 0.875 <= interval.high)
    assert held >= 0.945


def test_area_under_the_curve_covers_the_truth() -> None:
    rng = np.random.default_rng(3)
    truth = float(scipy_stats.norm.cdf(1.5 / np.sqrt(2)))
    held = 0
    for _ in range(600):
        positives, negatives = rng.normal(1.5, 1, 30), rng.normal(0, 1, 50)
        auc = float((positives[:, None] > negatives).mean())
        interval = stats.auc_interval(auc, 30, 50)
        held += interval.low <= truth <= interval.high
    assert held / 600 >= 0.93
    assert stats.auc_interval(1.0, 20, 20).low < 0.95


def test_percentile_takes_order_statistics_250_and_9750() -> None:
    draws = np.random.default_rng(0).permutation(np.arange(1, 10_000)).astype(float)
    assert stats.percentile(draws) == (250, 9_750)


def test_resampling_cells_has_the_law_of_resampling_rows() -> None:
    cells = np.array([[40, 10], [5, 45]])
    rows = np.repeat(np.arange(4), cells.ravel())

    def accuracy(c: np.ndarray) -> np.ndarray:
        return np.asarray((c[:, 0, 0] + c[:, 1, 1]) / c.sum(axis=(1, 2)))

    by_cells = stats.percentile(stats.cell_bootstrap(cells, accuracy, np.random.default_rng(1)))
    by_rows = stats.bootstrap(
        np.isin(rows, (0, 3)).astype(float), lambda r: r.mean(axis=1), np.random.default_rng(2)
    )
    exact = scipy_stats.binom.ppf([0.025, 0.975], 100, 0.85) / 100
    assert by_cells == pytest.approx(tuple(exact), abs=0.011)
    assert by_rows == pytest.approx(tuple(exact), abs=0.011)


def test_student_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(5).normal(size=40)
    interval = stats.mean_interval(values)
    theirs = scipy_stats.ttest_1samp(values, 0).confidence_interval()
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((theirs.low, theirs.high))
    assert stats.mean_interval(values[:1]) is None


@pytest.mark.parametrize(("n", "events_below"), [(72, 0.05), (368, 0.01), (3_688, 0.001)])
def test_zero_events_bound_a_rate_only_from_the_known_n_on(n: int, events_below: float) -> None:
    assert stats.clopper_pearson(0, n).high < events_below + 5e-7
    assert stats.clopper_pearson(0, n - 1).high > events_below
