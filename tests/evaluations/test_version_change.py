"""quality.version_change: Newcombe's published table, scikit-learn's losses, scipy's tests, statsmodels' clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats as scipy_stats
from sklearn.metrics import log_loss

from evaluations import catalogue
from evaluations.models.protocol import Predictions, Usage
from evaluations.spec import Access, EvaluationError, EvaluationResult, Metric, MetricStatus, Modality, Role
from tests.evaluations import make

CHANGE = catalogue.get("quality.version_change")
PARENT = make.STAND_IN.model_copy(update={"digest": "parent"})
ROLES = {"id": Role.ID, "now": Role.INPUT, "before": Role.INPUT, "label": Role.TARGET}


def from_column(column: str, labels: tuple[str, ...] = ("no", "yes")) -> Any:
    """Answers with the probability of yes that the column holds; NaN is no answer."""

    def answer(rows: pd.DataFrame) -> np.ndarray:
        p = rows[column].to_numpy()
        return np.column_stack([1 - p, p] if labels[0] == "no" else [p, 1 - p])

    model = make.Answering(answer, labels)
    model.columns = ("now", "before")
    return model


def measured(
    table: pd.DataFrame, folder: Path, roles: dict[str, Role] | None = None, parent: Any = None, **params: Any
) -> EvaluationResult:
    ref = make.data_ref(table, folder, roles or ROLES)
    model = make.STAND_IN.model_copy(update={"parent": PARENT})
    return make.evaluate(
        CHANGE,
        from_column("now"),
        make.request(CHANGE.name, ref, model, **params),
        folder,
        parent=parent or from_column("before"),
    )


def at(result: EvaluationResult, name: str, slice: str = "all") -> Metric:
    (found,) = (m for m in result.metrics if (m.name, m.slice) == (name, slice))
    return found


def pairs(both: int, now_alone: int, before_alone: int, neither: int) -> pd.DataFrame:
    """Rows of which so many are right (probability .9 of yes) for both versions, one, or none."""
    right = {True: 0.9, False: 0.2}
    kinds = [(True, True)] * both + [(True, False)] * now_alone + [(False, True)] * before_alone
    kinds += [(False, False)] * neither
    return pd.DataFrame(
        {
            "id": [f"r{i:03d}" for i in range(len(kinds))],
            "now": [right[now] for now, _ in kinds],
            "before": [right[before] for _, before in kinds],
            "label": "yes",
        }
    )


@pytest.mark.parametrize(
    ("cells", "low", "high"), [((36, 12, 2, 0), 0.0569, 0.3404), ((20, 10, 2, 18), 0.0250, 0.2839)]
)
def test_the_change_has_newcombes_published_interval(
    cells: tuple[int, int, int, int], low: float, high: float, tmp_path: Path
) -> None:
    result = measured(pairs(*cells), tmp_path)
    change = at(result, "accuracy_change")
    assert change.value == pytest.approx((cells[1] - cells[2]) / sum(cells))
    assert change.interval is not None
    assert (change.interval.low, change.interval.high) == pytest.approx((low, high), abs=5e-5)
    assert at(result, "newly_right").value == pytest.approx(cells[1] / sum(cells))
    assert at(result, "newly_wrong").value == pytest.approx(cells[2] / sum(cells))
    assert at(result, "answers_changed").value == pytest.approx((cells[1] + cells[2]) / sum(cells))
    exact = scipy_stats.binomtest(cells[2], cells[1] + cells[2]).pvalue
    assert at(result, "mcnemar_p").value == pytest.approx(exact)


def random_pairs(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    now = rng.uniform(0.02, 0.98, n)
    return pd.DataFrame(
        {
            "id": [f"r{i:03d}" for i in range(n)],
            "now": now,
            "before": np.clip(now + rng.normal(0, 0.3, n), 0.02, 0.98),
            "label": np.where(rng.random(n) < now, "yes", "no"),
        }
    )


def test_changes_of_losses_are_paired_means(tmp_path: Path) -> None:
    table = random_pairs()
    result, truth = measured(table, tmp_path), (table.label == "yes").to_numpy().astype(float)
    change = at(result, "log_loss_change")
    assert change.value == pytest.approx(log_loss(truth, table.now) - log_loss(truth, table.before))
    losses = [-np.log(np.where(truth == 1, table[c], 1 - table[c])) for c in ("now", "before")]
    expected = scipy_stats.ttest_rel(*losses).confidence_interval(0.95)
    assert change.interval is not None
    assert (change.interval.low, change.interval.high) == pytest.approx((expected.low, expected.high))
    brier = [2 * (table[c] - truth) ** 2 for c in ("now", "before")]
    assert at(result, "brier_change").value == pytest.approx(np.mean(brier[0] - brier[1]))


def test_clusters_widen_as_statsmodels_has_it_and_mcnemar_is_refused(tmp_path: Path) -> None:
    table = random_pairs()
    table["person"] = np.arange(300) // 10
    result = measured(table, tmp_path, {**ROLES, "person": Role.CLUSTER})
    truth = (table.label == "yes").to_numpy().astype(float)
    difference = -np.log(np.where(truth == 1, table.now, 1 - table.now)) + np.log(
        np.where(truth == 1, table.before, 1 - table.before)
    )
    fit = sm.OLS(difference, np.ones(300)).fit(
        cov_type="cluster", cov_kwds={"groups": table.person.to_numpy()}, use_t=True
    )
    change = at(result, "log_loss_change")
    assert change.interval is not None
    reach = (change.interval.high - change.interval.low) / 2
    assert reach == pytest.approx(scipy_stats.t.ppf(0.975, 29) * fit.bse[0], rel=0.01)
    assert at(result, "mcnemar_p").status is MetricStatus.NOT_ESTIMABLE


def test_every_group_has_its_own_change_and_tiny_groups_none(tmp_path: Path) -> None:
    table = random_pairs()
    table["sex"] = np.where(np.arange(300) < 5, "Few", np.where(np.arange(300) % 2, "Female", "Male"))
    result = measured(table, tmp_path, {**ROLES, "sex": Role.SENSITIVE})
    held = table[table.sex == "Male"]
    right = [((held[c] > 0.5) == (held.label == "yes")).mean() for c in ("now", "before")]
    found = at(result, "accuracy_change_in_group", "sex=Male")
    assert found.value == pytest.approx(right[0] - right[1])
    assert found.n == len(held)
    assert at(result, "accuracy_change_in_group", "sex=Few").status is MetricStatus.SUPPRESSED


def test_no_answer_of_either_version_counts_both_ways(tmp_path: Path) -> None:
    table = pairs(60, 10, 10, 20)
    silent = table.assign(
        now=table.now.where(table.index != 0, np.nan), before=table.before.where(table.index != 1, np.nan)
    )
    for name in ("accuracy_change", "newly_wrong", "newly_right", "log_loss_change", "brier_change"):
        narrow = at(measured(table, tmp_path), name).interval
        wide = at(measured(silent, tmp_path), name).interval
        assert narrow is not None
        assert wide is not None
        assert wide.high > narrow.high, name
        if not name.startswith("newly"):
            assert wide.low < narrow.low, name
    many = measured(silent.assign(before=np.nan), tmp_path)
    assert {m.status for m in many.metrics} == {MetricStatus.NOT_ESTIMABLE}
    assert many.coverage.failed == 100


def test_classes_in_another_order_are_brought_into_this_ones(tmp_path: Path) -> None:
    table = random_pairs()
    turned = measured(table, tmp_path, parent=from_column("before", ("yes", "no")))
    straight = measured(table, tmp_path)
    assert make.values(turned) == pytest.approx(make.values(straight))
    assert not turned.warnings


def test_newly_wrong_examples_are_shown_the_surest_first(tmp_path: Path) -> None:
    table = random_pairs()
    result = measured(table, tmp_path)
    yes = (table.label == "yes").to_numpy()
    newly = table[((table.now > 0.5) != yes) & ((table.before > 0.5) == yes)]
    sure = np.maximum(newly.now, 1 - newly.now)
    assert [e.id for e in result.examples] == list(newly.id[sure.sort_values(ascending=False).index][:20])


def test_a_version_without_a_parent_is_skipped(tmp_path: Path) -> None:
    ref = make.data_ref(pairs(5, 1, 1, 1), tmp_path, ROLES)
    with pytest.raises(EvaluationError, match="names no parent") as error:
        make.evaluate(CHANGE, from_column("now"), make.request(CHANGE.name, ref), tmp_path)
    assert error.value.skipped
    assert Modality.IMAGE_CLASSIFIER in CHANGE.requires.modalities


def label_only(column: str) -> Any:
    """Names a class and states no probabilities."""
    model = from_column(column)
    probs = model.answer
    model.answer = lambda rows: (probs(rows) > 0.5).astype(float)
    model.access = Access.LABEL
    return model


def test_a_model_that_names_classes_alone_has_no_losses(tmp_path: Path) -> None:
    table = random_pairs()
    ref = make.data_ref(table, tmp_path, ROLES)
    asked = make.request(CHANGE.name, ref, make.STAND_IN.model_copy(update={"parent": PARENT}))
    result = make.evaluate(CHANGE, label_only("now"), asked, tmp_path, parent=label_only("before"))
    assert at(result, "accuracy_change").value == at(measured(table, tmp_path), "accuracy_change").value
    assert at(result, "log_loss_change").value is None
    assert at(result, "brier_change").value is None


class Copying:
    """A regressor that predicts what a column holds."""

    modality: ClassVar[Modality] = Modality.TABULAR_REGRESSION
    adapter: ClassVar[str] = "stand_in/1"
    access: ClassVar[Access] = Access.LABEL
    columns: tuple[str, ...] | None = ("now", "before")
    device = "cpu"

    def __init__(self, column: str) -> None:
        self.column, self.usage = column, Usage()

    def predict(self, rows: pd.DataFrame) -> Predictions:
        values = rows[self.column].to_numpy()
        return Predictions(values, np.isnan(values))


def test_predicted_numbers_are_compared_by_their_absolute_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": [f"r{i:03d}" for i in range(200)], "label": rng.normal(size=200)})
    table["now"] = table.label + rng.normal(scale=0.5, size=200)
    table["before"] = table.label + rng.normal(scale=1.0, size=200)
    model = make.STAND_IN.model_copy(update={"modality": Modality.TABULAR_REGRESSION})
    model = model.model_copy(update={"parent": model.model_copy(update={"digest": "parent"})})

    def run(table: pd.DataFrame) -> EvaluationResult:
        asked = make.request(CHANGE.name, make.data_ref(table, tmp_path, ROLES), model)
        return make.evaluate(CHANGE, Copying("now"), asked, tmp_path, parent=Copying("before"))

    result = run(table)
    change = at(result, "absolute_error_change")
    errors = [np.abs(table[c] - table.label) for c in ("now", "before")]
    expected = scipy_stats.ttest_rel(*errors).confidence_interval(0.95)
    assert change.value == pytest.approx(np.mean(errors[0] - errors[1]))
    assert change.interval is not None
    assert (change.interval.low, change.interval.high) == pytest.approx((expected.low, expected.high))
    assert at(result, "accuracy_change").value is None
    assert result.charts
    wider = at(run(table.assign(now=table.now.mask(table.index == 3))), "absolute_error_change").interval
    assert wider is not None
    assert wider.low < change.interval.low
    assert wider.high > change.interval.high
