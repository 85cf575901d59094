"""quality.regression_task: scikit-learn's numbers, intervals that cover, bounds and groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, r2_score, root_mean_squared_error

from evaluations import catalogue
from evaluations.predicting import Predicted
from evaluations.quality import regression_errors
from evaluations.quality.regression_errors import of_sums, sums_of
from evaluations.spec import EvaluationError, EvaluationResult, Metric, MetricStatus, Modality, Role
from evaluations.stats.sums import RESAMPLED_UP_TO, intervals_of_sums, share_of_sums
from tests.evaluations import kinds, make

EVALUATION = catalogue.get("quality.regression_task")
REF = kinds.stand_in_ref(Modality.TABULAR_REGRESSION)


def run(
    folder: Path, table: pd.DataFrame, answer: Any, roles: dict[str, Role] | None = None, **params: Any
) -> EvaluationResult:
    data = make.data_ref(table, folder, roles or kinds.REGRESSION_ROLES)
    asked = make.request(EVALUATION.name, data, REF, **params)
    return make.evaluate(EVALUATION, kinds.Numbers(answer), asked, folder)


def metric(result: EvaluationResult, name: str, part: str = "all") -> Metric:
    return next(m for m in result.metrics if (m.name, m.slice) == (name, part))


def thrice(rows: pd.DataFrame) -> np.ndarray:
    return 3 * rows.x.to_numpy() + 0.3


def test_point_values_are_scikit_learns(tmp_path: Path) -> None:
    table = kinds.quantities(200)
    result = run(tmp_path, table, thrice, quantile=0.8)
    truth, answer = table.y, thrice(table)
    assert metric(result, "mae").value == pytest.approx(mean_absolute_error(truth, answer))
    assert metric(result, "rmse").value == pytest.approx(root_mean_squared_error(truth, answer))
    assert metric(result, "r2").value == pytest.approx(r2_score(truth, answer))
    assert metric(result, "pinball").value == pytest.approx(mean_pinball_loss(truth, answer, alpha=0.8))
    assert metric(result, "signed_error").value == pytest.approx((answer - truth).mean())
    for group in ("Female", "Male"):
        held = table.sex == group
        found = metric(result, "group_signed_error", f"sex={group}")
        assert found.value == pytest.approx((answer - truth)[held].mean())
        assert found.n == held.sum()


def test_ends_are_the_wider_of_scipys_bca_and_the_jackknife(tmp_path: Path) -> None:
    from scipy.stats import bootstrap

    table = kinds.quantities(120)
    errors = thrice(table) - table.y.to_numpy()
    interval = metric(run(tmp_path, table, thrice), "rmse").interval
    theirs = bootstrap(
        (errors,),
        lambda e, axis: np.sqrt((e**2).mean(axis)),
        n_resamples=9_999,
        method="BCa",
        rng=3,
        vectorized=True,
    ).confidence_interval
    assert interval is not None
    assert interval.method == "bca_or_jackknife_t"
    left_out = np.array([np.sqrt((np.delete(errors, i) ** 2).mean()) for i in range(120)])
    se = np.sqrt(119 / 120 * ((left_out - left_out.mean()) ** 2).sum())
    point, half = np.sqrt((errors**2).mean()), scipy_stats.t.ppf(0.975, 119) * se
    width = theirs.high - theirs.low
    assert interval.low == pytest.approx(min(theirs.low, point - half), abs=0.04 * width)
    assert interval.high == pytest.approx(max(theirs.high, point + half), abs=0.04 * width)


def test_few_rows_have_intervals_that_hold_and_stay_within_what_can_be() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        sums = np.column_stack([np.ones(5), rng.normal(5, 1, 5)])
        (found,) = intervals_of_sums(sums, lambda s: (s[:, 1] / s[:, 0])[:, None], rng, draws=199)
        assert found is not None
        held += found.low <= 5 <= found.high
    assert held / 300 >= 0.91  # BCa alone: 0.8


def test_an_error_is_not_below_zero_and_explained_variance_not_above_one(tmp_path: Path) -> None:
    table = kinds.quantities(3)
    for name, (least, most) in {"mae": (0, np.inf), "rmse": (0, np.inf), "r2": (-np.inf, 1)}.items():
        interval = metric(run(tmp_path, table, thrice), name).interval
        assert interval is not None
        assert least <= interval.low <= interval.high <= most


def test_the_jackknife_of_a_mean_is_students_t() -> None:
    values = np.random.default_rng(0).exponential(size=RESAMPLED_UP_TO + 1)
    sums = np.column_stack([np.ones(len(values)), values])
    (found,) = intervals_of_sums(sums, lambda s: (s[:, 1] / s[:, 0])[:, None], np.random.default_rng(0))
    from evaluations.stats import mean_interval

    expected = mean_interval(values)
    assert found is not None
    assert expected is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.method == "jackknife_t"


def test_intervals_cover_the_true_errors_about_95_times_in_100() -> None:
    rng = np.random.default_rng(5)
    held = np.zeros(4)
    truth_values = np.array(
        [np.sqrt(2 / np.pi), 1.0, 1 - 1 / 5, np.sqrt(2 / np.pi) / 2]
    )  # e ~ N(0, 1), y ~ N(0, 5)
    repeats = 150
    for _ in range(repeats):
        answer = rng.normal(scale=2, size=120)
        y = answer + rng.normal(size=120)
        for m, interval in enumerate(intervals_of_sums(sums_of(y, answer, 0.5), of_sums, rng, draws=999)):
            assert interval is not None
            held[m] += interval.low <= truth_values[m] <= interval.high
    assert (held / repeats >= 0.90).all()
    assert held.mean() / repeats >= 0.93


def test_rows_that_belong_together_are_resampled_together(tmp_path: Path) -> None:
    table = kinds.quantities(40)
    alone = metric(run(tmp_path, table, thrice), "mae")
    tenfold = pd.concat([table.assign(id=table.id + f"-{i}", person=table.id) for i in range(10)])
    roles = {**kinds.REGRESSION_ROLES, "person": Role.CLUSTER}
    together = metric(run(tmp_path, tenfold, thrice, roles), "mae")
    assert together.value == pytest.approx(alone.value)
    assert together.interval.low == pytest.approx(alone.interval.low, abs=0.02)
    assert together.interval.high == pytest.approx(alone.interval.high, abs=0.02)
    signed = metric(run(tmp_path, tenfold, thrice, roles), "signed_error").interval
    assert signed.method == "t_clustered"


def test_rows_without_an_answer_widen_both_ends(tmp_path: Path) -> None:
    table = kinds.quantities(100)

    def gaps(rows: pd.DataFrame) -> np.ndarray:
        found = thrice(rows)
        found[rows.x.isin(table.x[[3, 50]])] = np.nan
        return found

    whole, missing = (run(tmp_path, table, a, max_error_rate=0.02) for a in (thrice, gaps))
    assert missing.coverage.failed == 2
    for name in ("mae", "rmse", "r2", "signed_error"):
        a, b = metric(whole, name).interval, metric(missing, name).interval
        assert b.high - b.low > a.high - a.low
    stricter = run(tmp_path, table, gaps, max_error_rate=0.01)
    assert metric(stricter, "mae").status is MetricStatus.NOT_ESTIMABLE


def test_bounds_are_the_models_or_the_claimed_margin(tmp_path: Path) -> None:
    table = kinds.quantities(100)
    inside = (np.abs(thrice(table) - table.y) <= 1.2).sum()

    def bounded(rows: pd.DataFrame) -> np.ndarray:
        return np.column_stack([thrice(rows), thrice(rows) - 1.2, thrice(rows) + 1.2])

    own = run(tmp_path, table, bounded)
    claimed = run(tmp_path, table, thrice, half_width=1.2)
    none = run(tmp_path, table, thrice)
    for result in (own, claimed):
        assert metric(result, "interval_coverage").value == pytest.approx(inside / 100)
        assert metric(result, "interval_width").value == pytest.approx(2.4)
    assert metric(none, "interval_coverage").status is MetricStatus.NOT_ESTIMABLE
    assert "half_width" in metric(none, "interval_coverage").reason


def test_a_small_group_is_not_shown_and_a_constant_truth_has_no_r2(tmp_path: Path) -> None:
    table = kinds.quantities(60)
    table.loc[:3, "sex"] = "Other"
    result = run(tmp_path, table, thrice)
    assert metric(result, "group_signed_error", "sex=Other").status is MetricStatus.SUPPRESSED
    flat = run(tmp_path, table.assign(y=5.0), thrice)
    assert metric(flat, "r2").status is MetricStatus.NOT_ESTIMABLE
    assert metric(flat, "mae").value is not None


def test_a_target_that_is_no_number_is_said(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError) as error:
        run(tmp_path, kinds.quantities(30).assign(y="much"), thrice)
    assert error.value.code == "target_not_number"


def test_shares_of_sums_are_wilson_where_units_are_rows_and_cover_where_they_are_not() -> None:
    from evaluations.stats import wilson

    hits = np.repeat([1.0, 0.0], [37, 13])
    found, plain = share_of_sums(hits, np.ones(50)), wilson(37, 50)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.004)
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        sizes = rng.integers(1, 9, 60)
        rates = rng.beta(4, 2, 60)  # of each unit: hits of one unit go together
        interval = share_of_sums(rng.binomial(sizes, rates).astype(float), sizes.astype(float))
        held += interval.low <= 4 / 6 <= interval.high
    assert 0.92 <= held / 400 <= 0.98
    perfect = share_of_sums(np.full(20, 5.0), np.full(20, 5.0))
    assert perfect.low == pytest.approx(wilson(20, 20).low)


@pytest.mark.parametrize("huge", [1e41, 1e155, 1e308])
def test_numbers_whose_squares_are_no_numbers_are_no_answers(huge: float, tmp_path: Path) -> None:
    def answer(rows: pd.DataFrame) -> np.ndarray:
        return np.where(np.arange(len(rows)) % 2 == 0, huge, 0.0)

    result = run(tmp_path, kinds.quantities(40), answer)
    assert result.coverage.failed == 20
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}


def test_a_missing_statement_of_a_quantile_costs_what_the_dearer_end_does() -> None:
    truth, errors = np.array([6.0, 0.0, 10.0]), np.array([True, False, False])
    predicted = Predicted(np.arange(3), truth, np.array([np.nan, 0.0, 10.0]), errors, None, None)
    sums = regression_errors._filled_sums(predicted, "worst", 0.1)
    assert sums[0, 1] == 6  # 0 is farther off than 10
    assert sums[0, 3] == pytest.approx(
        0.9 * 4
    )  # but saying too much costs 9 times as much as saying too little
    assert regression_errors._filled_sums(predicted, "best", 0.1)[0, 3] == 0
