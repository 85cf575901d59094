"""fairness.ll144 against a table worked by hand, and the rule's own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue
from evaluations.fairness.ll144 import LL144Params
from evaluations.spec import Access, EvaluationError, EvaluationResult, Metric, MetricStatus, Role
from tests.evaluations import make

LL144 = catalogue.get("fairness.ll144")
# category: applicants, of whom selected
TABLE = {
    ("Male", "White"): (400, 200),
    ("Male", "Black"): (200, 80),
    ("Female", "White"): (300, 135),
    ("Female", "Black"): (100, 35),
    ("Female", "Asian"): (10, 6),
}


def applicants(table: dict[tuple[str, str], tuple[int, int]] = TABLE) -> pd.DataFrame:
    rows = [
        (sex, race, float(i < selected)) for (sex, race), (n, selected) in table.items() for i in range(n)
    ]
    frame = pd.DataFrame(rows, columns=["sex", "race", "x"])
    return frame.assign(z=0.0, id=[f"a{i}" for i in range(len(frame))], label="no")


def audited(table: pd.DataFrame, folder: Path, answer: Any = None, **params: Any) -> EvaluationResult:
    roles = {**make.TABULAR_ROLES, "race": Role.SENSITIVE}
    ref = make.data_ref(table, folder, roles, favourable_label="yes")
    chosen = answer or (lambda rows: np.column_stack([0.9 - 0.8 * rows.x, 0.1 + 0.8 * rows.x]))
    return make.evaluate(LL144, make.Answering(chosen), make.request(LL144.name, ref, **params), folder)


def at(result: EvaluationResult, name: str, slice: str) -> Metric:
    (found,) = (m for m in result.metrics if (m.name, m.slice) == (name, slice))
    return found


def test_rates_and_ratios_equal_the_table_worked_by_hand(tmp_path: Path) -> None:
    result = audited(applicants(), tmp_path)
    expected = {  # selected / applicants, and that over the highest of its table
        "sex=Male": (280 / 600, 1),
        "sex=Female": (176 / 410, (176 / 410) / (280 / 600)),
        "race=White": (335 / 700, (335 / 700) / 0.6),
        "race=Black": (115 / 300, (115 / 300) / 0.6),
        "race=Asian": (0.6, 1),
        "sex & race=Male & White": (0.5, 0.5 / 0.6),
        "sex & race=Male & Black": (0.4, 0.4 / 0.6),
        "sex & race=Female & White": (0.45, 0.45 / 0.6),
        "sex & race=Female & Black": (0.35, 0.35 / 0.6),
        "sex & race=Female & Asian": (0.6, 1),
    }
    for where, (rate, ratio) in expected.items():
        assert at(result, "selection_rate", where).value == pytest.approx(rate)
        assert at(result, "impact_ratio", where).value == pytest.approx(ratio)
    assert at(result, "impact_ratio", "sex=Male").interval is None  # 1 by definition, not by measurement


def test_small_categories_are_left_out_only_with_a_justification_and_still_shown(tmp_path: Path) -> None:
    result = audited(applicants(), tmp_path, justification="Ten people are too few to compare.")
    left_out = at(result, "impact_ratio", "race=Asian")
    assert left_out.status is MetricStatus.NOT_ESTIMABLE
    shown = at(result, "selection_rate", "race=Asian")
    assert (shown.value, shown.n) == (0.6, 10)
    assert at(result, "impact_ratio", "race=Black").value == pytest.approx((115 / 300) / (335 / 700))
    assert any("Ten people are too few" in warning for warning in result.warnings)


def test_scoring_rates_count_what_lies_strictly_above_the_median_of_all(tmp_path: Path) -> None:
    table = applicants({("Male", "White"): (4, 0), ("Female", "Black"): (4, 0)})
    table["x"] = [0.1, 0.2, 0.5, 0.9, 0.2, 0.2, 0.8, 0.9]  # median (0.2 + 0.5)/2 = 0.35
    result = audited(table, tmp_path, lambda rows: np.column_stack([1 - rows.x, rows.x]))
    assert at(result, "scoring_rate", "sex=Male").value == 0.5
    table["x"] = [0.2] * 6 + [0.8, 0.9]  # the median is 0.2 itself: equal is not above
    result = audited(table, tmp_path, lambda rows: np.column_stack([1 - rows.x, rows.x]))
    assert at(result, "scoring_rate", "sex=Male").value == 0.0
    assert at(result, "scoring_rate", "sex=Female").value == 0.5
    assert at(result, "scoring_impact_ratio", "sex=Male").value == 0.0


def test_people_of_unknown_category_are_counted_apart(tmp_path: Path) -> None:
    table = applicants()
    table.loc[table.index[:7], "race"] = None
    table.loc[table.index[3:5], "sex"] = "Unknown"
    result = audited(table, tmp_path)
    unknown = {m.slice: m.value for m in result.metrics if m.name == "unknown_category"}
    assert unknown == {"sex": 2, "race": 7, "sex & race": 7}
    assert at(result, "selection_rate", "race=White").n == 693


def test_a_model_that_names_classes_alone_has_no_scores(tmp_path: Path) -> None:
    table = applicants()
    ref = make.data_ref(
        table, tmp_path, {**make.TABULAR_ROLES, "race": Role.SENSITIVE}, favourable_label="yes"
    )
    model = make.Answering(lambda rows: np.column_stack([1 - rows.x, rows.x]))
    model.access = Access.LABEL  # type: ignore[misc]  # of this instance alone
    result = make.evaluate(LL144, model, make.request(LL144.name, ref), tmp_path)
    assert at(result, "scoring_rate", "sex").status is MetricStatus.NOT_ESTIMABLE
    assert at(result, "selection_rate", "sex=Male").value == pytest.approx(280 / 600)


def test_the_columns_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no sensitive column 'gender'") as error:
        audited(applicants(), tmp_path, sex_column="gender")
    assert error.value.skipped


def test_no_more_than_the_rules_two_percent_may_be_left_out() -> None:
    with pytest.raises(ValueError, match=r"less than or equal to 0\.02"):
        LL144Params(smallest_share=0.05)


def test_a_true_ratio_lies_in_its_interval_as_often_as_stated(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        counts = {
            ("Male", "White"): (200, int(rng.binomial(200, 0.5))),
            ("Female", "Black"): (150, int(rng.binomial(150, 0.3))),
        }
        interval = at(audited(applicants(counts), tmp_path), "impact_ratio", "sex=Female").interval
        assert interval is not None
        covered += interval.low <= 0.6 <= interval.high
    assert covered >= 0.95 * 200 - 3 * np.sqrt(200 * 0.95 * 0.05)
