"""`evaluations.run(...)`: frames, charts and reasons, from a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, matthews_corrcoef

import evaluations
from evaluations.spec import EvaluationError
from tests.evaluations import make

ROLES = {"id": "id"}


@pytest.fixture(scope="module")
def estimator() -> LogisticRegression:
    table = make.frame(400)
    return LogisticRegression().fit(table[["x", "z"]], table.label)


def test_an_estimator_and_a_frame_give_a_frame_of_metrics(estimator: LogisticRegression) -> None:
    table = make.frame(300, seed=5)
    found = evaluations.run(
        "quality.classification",
        estimator,
        table,
        target="label",
        sensitive=["sex"],
        roles=ROLES,
        progress=False,
    )
    values = found.metrics.set_index("metric").value
    answers = estimator.predict(table[["x", "z"]])
    assert values["accuracy"] == pytest.approx(accuracy_score(table.label, answers))
    assert values["mcc"] == pytest.approx(matthews_corrcoef(table.label, answers))
    rows = found.metrics
    assert ((rows.low <= rows.value) & (rows.value <= rows.high)).all()
    assert "application/vnd.vegalite.v5+json" in found.charts[0]._repr_mimebundle_()
    assert len(found.charts[0].table) == 4  # a confusion matrix of two classes
    assert "accuracy" in found._repr_html_()


def test_a_regressor_in_memory_is_measured_too() -> None:
    from sklearn.linear_model import LinearRegression
    from sklearn.metrics import mean_absolute_error

    table = make.frame(200).assign(y=lambda t: 2 * t.x + t.z**2)
    fitted = LinearRegression().fit(table[["x", "z"]], table.y)
    found = evaluations.run(
        "quality.regression_task",
        fitted,
        table.drop(columns=["label", "sex"]),
        target="y",
        roles=ROLES,
        progress=False,
    )
    values = found.metrics.set_index("metric").value
    assert values["mae"] == pytest.approx(mean_absolute_error(table.y, fitted.predict(table[["x", "z"]])))


def test_a_folder_and_a_file_give_the_same_numbers(estimator: LogisticRegression, tmp_path: Path) -> None:
    skops.io.dump(estimator, tmp_path / "model.skops")
    table = make.frame(300, seed=5)
    table.to_csv(tmp_path / "rows.csv", index=False)
    how = {"target": "label", "sensitive": ["sex"], "roles": ROLES, "progress": False}
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "model.skops").rename(folder / "model.skops")
    from_disk = evaluations.run("quality.classification", folder, tmp_path / "rows.csv", **how)
    in_memory = evaluations.run("quality.classification", estimator, table, **how)
    assert from_disk.metrics.value.tolist() == in_memory.metrics.value.tolist()


def test_several_evaluations_share_one_scoring_pass(estimator: LogisticRegression) -> None:
    found = evaluations.run(
        ["quality.classification", "quality.calibration", "fairness.group", "robustness.text_char"],
        estimator,
        make.frame(300, seed=5),
        target="label",
        sensitive=["sex"],
        roles=ROLES,
        favourable_label="yes",
        progress=False,
    )
    queries = {name: result.cost.queries for name, result in found.results.items()}
    assert queries == {"quality.classification": 300, "quality.calibration": 0, "fairness.group": 0}
    assert found.failures["robustness.text_char"].skipped
    assert "could not be run" in found._repr_html_()


def test_what_is_wrong_is_said_before_anything_runs(estimator: LogisticRegression) -> None:
    table = make.frame(20)
    with pytest.raises(EvaluationError, match="no column 'lable'"):
        evaluations.run("quality.classification", estimator, table, target="lable", progress=False)
    both = ["quality.classification", "quality.calibration"]
    with pytest.raises(EvaluationError, match="not among"):
        evaluations.run(both, estimator, table, params={"quality.nothing": {"a": 1}}, target="label")
    with pytest.raises(EvaluationError, match="Parameter 'max_error_rat'"):
        evaluations.run(
            "quality.classification",
            estimator,
            table,
            params={"max_error_rat": 1},
            target="label",
            progress=False,
        )
    with pytest.raises(EvaluationError, match="Did you mean"):
        evaluations.run("quality.clasification", estimator, table, target="label", progress=False)


def test_importing_the_package_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    code = (
        "import sys, evaluations; print(sorted({'numpy', 'pandas', 'torch', 'pyarrow'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
