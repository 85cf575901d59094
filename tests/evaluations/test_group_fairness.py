"""fairness.group against fairlearn, with intervals and a null that hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fairlearn.metrics as fl
import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue
from evaluations.fairness import group_rates
from evaluations.spec import EvaluationError, EvaluationResult, Metric, MetricStatus, Role
from evaluations.stats import Proportion
from tests.evaluations import make

GROUP = catalogue.get("fairness.group")


def measured(
    table: pd.DataFrame,
    folder: Path,
    favourable: str | None = "yes",
    answer: Any = make.logistic,
    **params: Any,
) -> EvaluationResult:
    roles = {**make.TABULAR_ROLES, **{c: Role.SENSITIVE for c in ("race",) if c in table}}
    ref = make.data_ref(table, folder, roles, favourable_label=favourable)
    return make.evaluate(GROUP, make.Answering(answer), make.request("fairness.group", ref, **params), folder)


def at(result: EvaluationResult, name: str, slice: str) -> Metric:
    (found,) = (m for m in result.metrics if (m.name, m.slice) == (name, slice))
    return found


def people(n: int = 3000) -> pd.DataFrame:
    table = make.frame(n, seed=3)
    table["race"] = np.random.default_rng(1).choice(["A", "B", "C", "D"], n, p=[0.6, 0.2, 0.15, 0.05])
    return table


@pytest.mark.parametrize("favourable", ["yes", "no"])
def test_point_values_equal_fairlearns(favourable: str, tmp_path: Path) -> None:
    table = people()
    result = measured(table, tmp_path, favourable)
    truth = (table.label == favourable).to_numpy().astype(int)
    answer = np.where(table.x > 0, "yes", "no")
    chosen = (answer == favourable).astype(int)
    for column in ("sex", "race"):
        groups = table[column].to_numpy(dtype=str)
        frame = fl.MetricFrame(
            metrics={
                "selection_rate": fl.selection_rate,
                "tpr": fl.true_positive_rate,
                "fpr": fl.false_positive_rate,
                "fnr": fl.false_negative_rate,
            },
            y_true=truth,
            y_pred=chosen,
            sensitive_features=groups,
        )
        for group, row in frame.by_group.iterrows():
            for name in ("selection_rate", "tpr", "fpr", "fnr"):
                assert at(result, name, f"{column}={group}").value == pytest.approx(row[name], abs=1e-12)
        asked = {"y_true": truth, "y_pred": chosen, "sensitive_features": groups}
        expected = {
            "selection_rate_ratio": fl.demographic_parity_ratio(**asked),
            "selection_rate_gap": fl.demographic_parity_difference(**asked),
            "tpr_gap": frame.difference()["tpr"],
            "fpr_gap": frame.difference()["fpr"],
            "equalized_odds_difference": fl.equalized_odds_difference(**asked),
            "average_odds_difference": fl.equalized_odds_difference(**asked, agg="mean"),
        }
        got = {name: at(result, name, column).value for name in expected}
        assert got == pytest.approx(expected, abs=1e-12)


def test_groups_of_two_columns_together_equal_fairlearns(tmp_path: Path) -> None:
    table = people()
    result = measured(table, tmp_path, intersections=True)
    frame = fl.MetricFrame(
        metrics=fl.selection_rate,
        y_true=(table.label == "yes").astype(int),
        y_pred=(table.x > 0).astype(int),
        sensitive_features=table[["sex", "race"]].astype(str),
    )
    for (sex, race), value in frame.by_group.items():
        assert at(result, "selection_rate", f"sex & race={sex} & {race}").value == pytest.approx(value)
    assert at(result, "selection_rate_ratio", "sex & race").value == pytest.approx(frame.ratio())


def test_shrinking_gives_back_the_prior_that_the_groups_came_from() -> None:
    rng = np.random.default_rng(0)
    sizes = np.tile([20, 50, 100, 200], 500)
    hits = rng.binomial(sizes, rng.beta(4, 12, len(sizes)))  # m = 1/4, M = 16
    expected = (hits + 16 * 0.25) / (sizes + 16)
    assert np.abs(group_rates.shrunken(hits, sizes) - expected).max() < 0.02


def test_groups_that_differ_by_chance_alone_all_get_the_mean() -> None:
    assert group_rates.shrunken(np.array([5, 5, 5]), np.array([10, 10, 10])) == pytest.approx([0.5] * 3)
    assert group_rates.shrunken(np.array([0, 0]), np.array([10, 20])) == pytest.approx([0.0] * 2)


def test_a_small_group_is_pulled_further_than_a_large_one(tmp_path: Path) -> None:
    hits, sizes = np.array([0, 300, 700]), np.array([10, 1000, 1000])
    raw, steadied = hits / sizes, group_rates.shrunken(hits, sizes)
    assert steadied[0] > raw[0] + 0.05
    assert np.abs(steadied[1:] - raw[1:]).max() < 0.01


def test_eight_equal_groups_show_the_known_gap_by_chance() -> None:
    null = group_rates.null_gaps(np.full(8, 125), 500, np.random.default_rng(0))
    assert null.mean() == pytest.approx(0.127, abs=0.004)
    assert np.quantile(null, 0.95) == pytest.approx(0.192, abs=0.006)


def test_the_null_is_that_of_shuffling_the_people() -> None:
    sizes, rng = np.array([30, 50, 20]), np.random.default_rng(1)
    groups, chosen = np.repeat(np.arange(3), sizes), np.arange(100) < 37
    shuffled = []
    for _ in range(4000):
        rates = np.bincount(groups, rng.permutation(chosen)) / sizes
        shuffled.append(rates.max() - rates.min())
    fast = group_rates.null_gaps(sizes, 37, rng)
    assert fast.mean() == pytest.approx(np.mean(shuffled), abs=0.005)
    assert np.quantile(fast, 0.95) == pytest.approx(np.quantile(shuffled, 0.95), abs=0.015)


@pytest.mark.parametrize(
    ("rates", "sizes"),
    [
        ([0.5, 0.5], [100, 100]),
        ([0.5] * 8, [125] * 8),
        ([0.5, 0.4], [200, 200]),
        ([0.08, 0.25], [500, 1000]),
        ([0.25, 0.26, 0.2, 0.22, 0.25], [5000, 900, 300, 130, 120]),
    ],
)
def test_ratio_and_gap_intervals_hold_the_truth_on_either_side(rates: list[float], sizes: list[int]) -> None:
    """A percentile bootstrap of the ratio fails this: its upper bound covers 0 % with eight equal groups."""
    rng, level = np.random.default_rng(2), group_rates.pairwise_level(len(rates))
    ratio, gap = min(rates) / max(rates), max(rates) - min(rates)
    missed = np.zeros(4)
    for _ in range(300):
        parts = [Proportion(int(rng.binomial(n, p)), n) for n, p in zip(sizes, rates, strict=True)]
        low, high = group_rates.ratio_bounds(parts, level)
        gap_low, gap_high = group_rates.gap_bounds(parts, level)
        missed += [low > ratio, high < ratio - 1e-12, gap_low > gap + 1e-12, gap_high < gap]
    # With equal rates both orders of a pair bound the same ratio, so one end may miss in 5 %.
    assert (missed / 300 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)).all()


def test_equal_groups_are_seen_to_exceed_chance_by_nothing(tmp_path: Path) -> None:
    table = make.frame(2000, seed=9)
    table["sex"] = np.random.default_rng(5).choice(["Female", "Male"], 2000)
    result = measured(table, tmp_path)
    assert abs(at(result, "selection_rate_gap_excess", "sex").value or 0) < 0.05
    table = make.frame(2000, seed=9)
    sex_of = dict(zip(table.x, table.sex, strict=True))

    def by_sex(rows: Any) -> np.ndarray:
        low = np.array([sex_of[x] == "Female" for x in rows.x])
        p = np.clip(make.logistic(rows)[:, 1] - 0.25 * low, 0, 1)
        return np.column_stack([1 - p, p])

    result = measured(table, tmp_path, answer=by_sex)
    assert at(result, "selection_rate_gap_p", "sex").value == pytest.approx(1e-4)
    assert (at(result, "selection_rate_gap_excess", "sex").value or 0) > 0.08


def test_small_groups_are_suppressed_flagged_and_left_out_by_the_denominator(tmp_path: Path) -> None:
    table = people(1000)
    table.loc[:5, "race"] = "tiny"
    table.loc[6:25, "race"] = "small"
    result = measured(table, tmp_path)
    assert at(result, "selection_rate", "race=tiny").status is MetricStatus.SUPPRESSED
    assert at(result, "selection_rate", "race=small").status is MetricStatus.OK
    assert at(result, "tpr", "race=small").n < 20
    positives = int(((table.race == "small") & (table.label == "yes")).sum())
    assert "selection_rate by race: uncertain, of few people: small (n = 20)." in result.warnings
    assert any(
        w.startswith("selection_rate by race: left out") and "tiny (n = 6)" in w for w in result.warnings
    )
    assert any(w.startswith("tpr by race") and f"small (n = {positives})" in w for w in result.warnings)
    shown = [c for c in result.charts if c.name.startswith("selection_rate")]
    assert all(v["group"] != "tiny" for c in shown for v in c.spec["data"]["values"])


def test_a_group_without_positives_is_not_estimable(tmp_path: Path) -> None:
    table = people(1000)
    table.loc[table.race == "D", "label"] = "no"
    result = measured(table, tmp_path)
    assert at(result, "tpr", "race=D").status is MetricStatus.NOT_ESTIMABLE
    assert at(result, "fpr", "race=D").status is MetricStatus.OK


def test_missing_values_are_a_group_of_their_own(tmp_path: Path) -> None:
    table = people(400)
    table.loc[:49, "race"] = None
    assert at(measured(table, tmp_path), "selection_rate", "race=(missing)").n == 50


def test_a_column_of_too_many_values_says_to_group_them(tmp_path: Path) -> None:
    table = people(300)
    table["race"] = [f"r{i}" for i in range(300)]
    metric = at(measured(table, tmp_path), "selection_rate_ratio", "race")
    assert metric.status is MetricStatus.NOT_ESTIMABLE
    assert "at most 50" in metric.reason


@pytest.mark.parametrize(
    ("favourable", "code"), [(None, "favourable_label_missing"), ("maybe", "favourable_label_unknown")]
)
def test_the_favourable_label_must_be_declared_and_known(
    favourable: str | None, code: str, tmp_path: Path
) -> None:
    with pytest.raises(EvaluationError) as error:
        measured(people(100), tmp_path, favourable)
    assert error.value.code == code


def test_nobody_selected_is_not_estimable_as_a_ratio(tmp_path: Path) -> None:
    result = measured(people(200), tmp_path, answer=lambda rows: np.tile([0.9, 0.1], (len(rows), 1)))
    assert at(result, "selection_rate_ratio", "sex").status is MetricStatus.NOT_ESTIMABLE
    assert at(result, "selection_rate_gap", "sex").value == 0


def test_people_with_several_rows_count_as_people(tmp_path: Path) -> None:
    """Each person is in the data five times over: nothing more is known than from one row each."""
    table = people(300)
    fivefold = pd.concat([table.assign(id=table.id + f"-{i}", person=table.id) for i in range(5)])
    roles = {**make.TABULAR_ROLES, "race": Role.SENSITIVE, "person": Role.CLUSTER}
    ref = make.data_ref(fivefold, tmp_path, roles, favourable_label="yes")
    together = make.evaluate(
        GROUP, make.Answering(make.logistic), make.request("fairness.group", ref), tmp_path
    )
    alone = measured(table, tmp_path)
    for name, where in (("selection_rate", "race=A"), ("tpr", "sex=Male"), ("selection_rate_ratio", "sex")):
        five, one = at(together, name, where), at(alone, name, where)
        assert five.value == one.value
        assert five.interval is not None
        assert one.interval is not None
        assert five.interval.low == pytest.approx(one.interval.low, abs=0.005)
        assert five.interval.high == pytest.approx(one.interval.high, abs=0.005)
    assert at(together, "tpr_gap_p", "race").status is MetricStatus.NOT_ESTIMABLE
    assert at(together, "tpr_gap", "race").interval is not None
