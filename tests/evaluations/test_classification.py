"""quality.classification against scikit-learn and against answers known in advance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from evaluations import catalogue
from evaluations.spec import EvaluationResult, MetricStatus, Role
from tests.evaluations import make

CLASSIFICATION = catalogue.get("quality.classification")


def measured(
    answer: Any, table: Any, folder: Path, labels: tuple[str, ...] = ("no", "yes"), **params: Any
) -> EvaluationResult:
    asked = make.request("quality.classification", make.data_ref(table, folder), **params)
    return make.evaluate(CLASSIFICATION, make.Answering(answer, labels), asked, folder)


@pytest.mark.parametrize("labels", [("no", "yes"), ("a", "b", "c", "d")])
def test_point_values_equal_scikit_learns(labels: tuple[str, ...], tmp_path: Path) -> None:
    table = make.frame(800, labels=labels)
    answer = make.softmax_of(len(labels))
    got = make.values(measured(answer, table, tmp_path, labels))
    probs, truth = answer(table), table.label.to_numpy(dtype=str)
    guess = np.array(labels)[probs.argmax(axis=1)]
    onehot = truth[:, None] == np.array(labels)
    if len(labels) == 2:
        auroc, ap = (
            sk.roc_auc_score(onehot[:, 1], probs[:, 1]),
            sk.average_precision_score(onehot[:, 1], probs[:, 1]),
        )
    else:
        auroc = sk.roc_auc_score(truth, probs, multi_class="ovr", labels=list(labels))
        ap = sk.average_precision_score(onehot, probs, average="macro")
    expected = {
        "accuracy": sk.accuracy_score(truth, guess),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, guess),
        "macro_f1": sk.f1_score(truth, guess, average="macro"),
        "mcc": sk.matthews_corrcoef(truth, guess),
        "auroc": auroc,
        "average_precision": ap,
        "log_loss": sk.log_loss(truth, probs, labels=list(labels)),
    }
    assert {name: got[name, "all"] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_ties_in_the_score_are_counted_as_scikit_learn_does(tmp_path: Path) -> None:
    table = make.frame(300)

    def coarse(rows: Any) -> np.ndarray:
        p = np.round(make.logistic(rows)[:, 1], 1)
        return np.column_stack([1 - p, p])

    got = make.values(measured(coarse, table, tmp_path))
    score, truth = coarse(table)[:, 1], (table.label == "yes").to_numpy()
    assert got["auroc", "all"] == pytest.approx(sk.roc_auc_score(truth, score), abs=1e-12)
    assert got["average_precision", "all"] == pytest.approx(
        sk.average_precision_score(truth, score), abs=1e-12
    )


def test_a_perfect_score_on_few_rows_is_not_certain(tmp_path: Path) -> None:
    table = make.frame(40)
    right = dict(zip(table.x, table.label == "yes", strict=True))

    def perfect(rows: Any) -> np.ndarray:
        p = np.array([float(right[x]) for x in rows.x])
        return np.column_stack([1 - p, p])

    for metric in measured(perfect, table, tmp_path).metrics:
        if metric.name == "log_loss":
            continue
        assert metric.value == 1, metric.name
        assert metric.interval is not None
        assert metric.interval.low < 0.97, metric.name


def failing_on(share: float) -> Any:
    """Gives no answer to the rows with the smallest x, always right about the rest as logistic is."""

    def answer(rows: Any) -> np.ndarray:
        probs = make.logistic(rows)
        probs[rows.z.to_numpy() < share] = np.nan
        return probs

    return answer


def test_errors_are_wrong_in_the_lower_bound_and_right_in_the_upper(tmp_path: Path) -> None:
    table = make.frame(1000)
    cut = float(np.sort(table.z)[10])  # ten errors: 1 %
    result = measured(failing_on(cut), table, tmp_path)
    clean = measured(make.logistic, table, tmp_path)
    for with_errors, without in zip(result.metrics, clean.metrics, strict=True):
        assert with_errors.interval is not None
        assert without.interval is not None
        assert with_errors.interval.low < without.interval.low, with_errors.name
        assert with_errors.interval.high > without.interval.high - 0.003, with_errors.name
    accuracy = result.metrics[0]
    answered = table[table.z >= cut]
    right = int(((answered.x > 0) == (answered.label == "yes")).sum())
    assert accuracy.value == right / 990
    assert accuracy.interval is not None
    assert accuracy.interval.low == pytest.approx(sk_wilson(right, 1000)[0])
    assert accuracy.interval.high == pytest.approx(sk_wilson(right + 10, 1000)[1])
    assert result.coverage.model_dump() == {
        "attempted": 1000,
        "scored": 990,
        "failed": 10,
        "skipped": 0,
        "blocked": 0,
    }


def sk_wilson(k: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    found = binomtest(k, n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def test_too_many_errors_leave_nothing_estimable(tmp_path: Path) -> None:
    table = make.frame(200)
    result = measured(failing_on(float(np.sort(table.z)[5])), table, tmp_path)
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}
    allowed = measured(failing_on(float(np.sort(table.z)[5])), table, tmp_path, max_error_rate=0.05)
    assert {m.status for m in allowed.metrics} == {MetricStatus.OK}


def test_a_class_without_examples_is_named(tmp_path: Path) -> None:
    table = make.frame(60, labels=("a", "b"))
    result = measured(make.softmax_of(3), table, tmp_path, ("a", "b", "c"))
    assert any("'c'" in warning for warning in result.warnings)
    assert result.metrics[1].status is MetricStatus.OK


CLUSTERED = {**make.TABULAR_ROLES, "sex": Role.CLUSTER}


def clustered(table: Any, folder: Path, answer: Any = make.logistic) -> EvaluationResult:
    asked = make.request("quality.classification", make.data_ref(table, folder, CLUSTERED))
    return make.evaluate(CLASSIFICATION, make.Answering(answer), asked, folder)


def test_rows_repeated_in_clusters_say_no_more_than_once(tmp_path: Path) -> None:
    once = make.frame(60)
    often = once.loc[once.index.repeat(8)].assign(id=[f"r{i:04d}" for i in range(480)])
    often["sex"] = often.x.map(lambda x: f"cluster {x}")
    single, repeated = measured(make.logistic, once, tmp_path), clustered(often, tmp_path)
    naive = measured(make.logistic, often, tmp_path)
    assert "60 clusters" in repeated.warnings[-1]
    for one, many, fooled in zip(single.metrics, repeated.metrics, naive.metrics, strict=True):
        assert many.value == pytest.approx(one.value), one.name
        if one.name in ("auroc", "average_precision"):
            assert many.interval is None
            continue
        width, true, narrow = (
            m.interval.high - m.interval.low for m in (many, one, fooled) if m.interval is not None
        )
        # Ends averaged over classes that are taken for dependent: up to √2 wider for two classes.
        assert 0.8 * true < width < (1.5 if one.name == "balanced_accuracy" else 1.25) * true, one.name
        assert width > 2 * narrow, one.name


def test_a_perfect_score_on_few_clusters_is_not_certain(tmp_path: Path) -> None:
    table = make.frame(200).assign(sex=[f"c{i % 10}" for i in range(200)])
    for metric in clustered(table, tmp_path, make.oracle(table, right=True)).metrics:
        if metric.interval is not None and metric.name != "log_loss":
            assert metric.interval.low < 0.95, metric.name
