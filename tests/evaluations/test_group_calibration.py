"""fairness.calibration against scikit-learn, closed forms and simulation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score

from evaluations import catalogue
from evaluations.fairness import group_calibration
from evaluations.quality.calibration_error import reliability
from evaluations.scoring import Scored
from evaluations.spec import Metric, MetricStatus, Role
from tests.evaluations import make

GROUP = catalogue.get("fairness.calibration")


def measured(
    table: pd.DataFrame, folder: Path, answer: Any = make.logistic, **params: Any
) -> dict[Any, Metric]:
    ref = make.data_ref(table, folder, favourable_label="yes")
    asked = make.request(GROUP.name, ref, **params)
    result = make.evaluate(GROUP, make.Answering(answer), asked, folder)
    return {(m.name, m.slice): m for m in result.metrics}


def stated(confidence: np.ndarray, right: np.ndarray) -> Scored:
    """A model that always names class 1, with this confidence."""
    n = len(confidence)
    return Scored(
        ("no", "yes"),
        np.arange(n),
        right.astype(np.int64),
        np.column_stack([1 - confidence, confidence]),
        np.zeros(n, bool),
    )


def test_precision_and_overstatement_equal_scikit_learn_and_the_plain_mean(tmp_path: Path) -> None:
    table = make.frame(2000, seed=3)
    found = measured(table, tmp_path)
    p = make.logistic(table)[:, 1]
    truth = (table.label == "yes").to_numpy()
    ppv = {}
    for group in ("Female", "Male"):
        here = (table.sex == group).to_numpy()
        ppv[group] = precision_score(truth[here], p[here] > 0.5)
        assert found["ppv", f"sex={group}"].value == pytest.approx(ppv[group])
        assert found["calibration_bias", f"sex={group}"].value == pytest.approx((p - truth)[here].mean())
    assert found["ppv_gap", "sex"].value == pytest.approx(abs(ppv["Female"] - ppv["Male"]))


def test_a_model_that_overstates_for_one_group_alone_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 6000
    x = rng.uniform(0.5, 1, n)
    sex = rng.choice(["Female", "Male"], n)
    p = np.where(sex == "Female", x - 0.15, x)  # the truth behind the same statement x
    label = np.where(rng.random(n) < p, "yes", "no")
    table = pd.DataFrame({"id": [f"e{i}" for i in range(n)], "x": x, "z": 0.0, "sex": sex, "label": label})
    found = measured(table, tmp_path, lambda rows: np.column_stack([1 - rows.x, rows.x]))
    her, him = found["ece_debiased", "sex=Female"], found["ece_debiased", "sex=Male"]
    assert her.interval is not None
    assert her.interval.low <= 0.15 <= her.interval.high
    assert her.interval.low > 0.1
    assert him.value == pytest.approx(0, abs=0.02)
    worst = found["worst_ece_debiased", "sex"]
    assert worst.interval is not None
    assert worst.value == her.value
    assert worst.interval.high >= her.interval.high  # it holds for both groups together
    assert found["calibration_bias", "sex=Female"].value == pytest.approx(0.15, abs=0.02)


def test_a_perfect_model_exceeds_a_raw_error_of_five_points_in_nearly_all_groups_of_a_hundred() -> None:
    rng = np.random.default_rng(1)
    raw, debiased, lows = [], [], []
    for _ in range(400):
        confidence = rng.uniform(0.5, 1, 100)
        scored = stated(confidence, rng.random(100) < confidence)
        raw.append(reliability(scored).ece)
        value, low, _ = group_calibration.calibration_error(scored, 0.95)
        debiased.append(value)
        lows.append(low)
    assert np.mean(np.array(raw) > 0.05) == pytest.approx(0.96, abs=0.03)
    assert np.mean(raw) - np.mean(debiased) > 0.03
    assert np.mean(np.array(lows) > 0) <= 0.05


def test_the_worst_groups_interval_covers_in_simulation(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        groups = []
        for gap in (0.0, 0.05, 0.12):
            confidence = rng.uniform(0.6, 1, 300)
            groups.append(stated(confidence, rng.random(300) < confidence - gap))
        worst = group_calibration._worst("g", groups)
        assert worst.interval is not None
        covered += worst.interval.low <= 0.12 <= worst.interval.high
    assert covered >= 0.95 * 200 - 3 * np.sqrt(200 * 0.95 * 0.05)


def test_small_groups_are_suppressed_and_said(tmp_path: Path) -> None:
    table = make.frame(300, seed=4)
    table.loc[:4, "sex"] = "Other"
    found = measured(table, tmp_path)
    assert found["ece_debiased", "sex=Other"].status is MetricStatus.SUPPRESSED
    assert found["ppv", "sex=Other"].status is MetricStatus.SUPPRESSED
    assert found["worst_ece_debiased", "sex"].n == 295


def test_nobody_chosen_leaves_precision_open(tmp_path: Path) -> None:
    found = measured(make.frame(200), tmp_path, make.always(0.9, 0.1))
    assert found["ppv", "sex=Female"].status is MetricStatus.NOT_ESTIMABLE
    assert found["ppv_gap", "sex"].status is MetricStatus.NOT_ESTIMABLE
    assert found["ece_debiased", "sex=Female"].value is not None


def test_two_columns_together_are_compared_on_request(tmp_path: Path) -> None:
    table = make.frame(800)
    table["z"] = 0.0
    roles = {**make.TABULAR_ROLES, "race": make.TABULAR_ROLES["sex"]}
    table["race"] = np.where(np.arange(800) % 3 == 0, "A", "B")
    ref = make.data_ref(table, tmp_path, roles, favourable_label="yes")
    asked = make.request(GROUP.name, ref, intersections=True)
    result = make.evaluate(GROUP, make.Answering(make.logistic), asked, tmp_path)
    slices = {m.slice for m in result.metrics if m.name == "worst_ece_debiased"}
    assert slices == {"sex", "race", "sex & race"}


def test_people_with_several_rows_count_as_people(tmp_path: Path) -> None:
    table = make.frame(300, seed=3)
    fivefold = pd.concat([table.assign(id=table.id + f"-{i}", person=table.id) for i in range(5)])
    roles = {**make.TABULAR_ROLES, "person": Role.CLUSTER}
    ref = make.data_ref(fivefold, tmp_path, roles, favourable_label="yes")
    result = make.evaluate(GROUP, make.Answering(make.logistic), make.request(GROUP.name, ref), tmp_path)
    together, alone = {(m.name, m.slice): m for m in result.metrics}, measured(table, tmp_path)
    for name in ("ppv", "calibration_bias"):
        five, one = together[name, "sex=Male"], alone[name, "sex=Male"]
        assert five.value == pytest.approx(one.value)
        assert five.interval is not None
        assert one.interval is not None
        assert five.interval.low == pytest.approx(one.interval.low, abs=0.005)
        assert five.interval.high == pytest.approx(one.interval.high, abs=0.005)
    assert together["ppv_gap_p", "sex"].status is MetricStatus.NOT_ESTIMABLE
