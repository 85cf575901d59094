"""Regressors and boosted trees: the numbers of the library that wrote the file, whatever the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations.models.loader import load
from evaluations.spec import EvaluationError, Modality, ModelFormat, ModelRef


def ref(folder: Path, modality: Modality, format: ModelFormat, **more: Any) -> ModelRef:
    return ModelRef(path=str(folder), digest="m", modality=modality, format=format, **more)


def table(n: int = 240, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    found = pd.DataFrame({"a": rng.normal(size=n), "job": rng.choice(["clerk", "nurse", "smith"], n)})
    found["zeros"] = rng.choice([0.0, 1.0, np.nan, -2.0], n)
    found.loc[::7, "a"] = np.nan
    return found


def categorical(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(job=frame.job.astype("category"))


def target(frame: pd.DataFrame) -> np.ndarray:
    return np.nan_to_num(frame.a) + 2 * (frame.job == "nurse") + np.nan_to_num(frame.zeros) * 0.5


# --- scikit-learn and ONNX -------------------------------------------------------------------------


def regressors() -> list[Any]:
    from sklearn.ensemble import (
        GradientBoostingRegressor,
        HistGradientBoostingRegressor,
        RandomForestRegressor,
    )
    from sklearn.linear_model import (
        HuberRegressor,
        Lasso,
        LinearRegression,
        PoissonRegressor,
        TweedieRegressor,
    )
    from sklearn.neural_network import MLPRegressor

    return [
        LinearRegression(),
        Lasso(alpha=0.01),
        HuberRegressor(),
        PoissonRegressor(),
        TweedieRegressor(),
        RandomForestRegressor(4, random_state=0),
        GradientBoostingRegressor(n_estimators=4),
        HistGradientBoostingRegressor(max_iter=4),
        MLPRegressor(hidden_layer_sizes=(4,), max_iter=2000, solver="lbfgs", random_state=0),
    ]


@pytest.mark.parametrize("regressor", regressors(), ids=lambda r: type(r).__name__)
def test_skops_regressors_give_scikit_learns_numbers(regressor: Any, tmp_path: Path) -> None:
    import skops.io

    frame = table()[["a", "zeros"]].fillna(0)
    regressor.fit(frame, np.exp(frame.a))
    skops.io.dump(regressor, tmp_path / "model.skops")
    model = load(ref(tmp_path, Modality.TABULAR_REGRESSION, ModelFormat.SKOPS))
    assert model.columns == ("a", "zeros")
    answers = model.predict(frame)
    assert answers.values == pytest.approx(regressor.predict(frame), abs=1e-12)
    assert not answers.errors.any()
    assert answers.low is answers.high is None


def test_a_calibrated_linear_classifier_loads(tmp_path: Path) -> None:
    import skops.io
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import LinearSVC

    frame = table()[["a", "zeros"]].fillna(0)
    classifier = CalibratedClassifierCV(LinearSVC(), cv=3).fit(frame, np.where(frame.a > 0, "up", "down"))
    skops.io.dump(classifier, tmp_path / "model.skops")
    model = load(ref(tmp_path, Modality.TABULAR, ModelFormat.SKOPS))
    assert model.labels == ("down", "up")
    assert np.allclose(model.predict_proba(frame).probs, classifier.predict_proba(frame))


def test_a_classifier_is_no_regressor_and_a_row_without_a_number_is_an_error(tmp_path: Path) -> None:
    import skops.io
    from sklearn.linear_model import LinearRegression, LogisticRegression

    frame = table()[["a", "zeros"]].fillna(0)
    skops.io.dump(LogisticRegression().fit(frame, frame.a > 0), tmp_path / "model.skops")
    with pytest.raises(EvaluationError) as error:
        load(ref(tmp_path, Modality.TABULAR_REGRESSION, ModelFormat.SKOPS))
    assert error.value.code == "model_not_regressor"
    skops.io.dump(LinearRegression().fit(frame, frame.a), tmp_path / "model.skops")
    gaps = frame.assign(a=frame.a.where(frame.index != 5, np.nan))
    answers = load(ref(tmp_path, Modality.TABULAR_REGRESSION, ModelFormat.SKOPS)).predict(gaps)
    assert np.flatnonzero(answers.errors).tolist() == [5]
    assert np.isnan(answers.values[5])


def test_onnx_regressors_give_scikit_learns_numbers(tmp_path: Path) -> None:
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestRegressor

    rows = table()[["a", "zeros"]].fillna(0).astype(np.float32)
    forest = RandomForestRegressor(4, max_depth=4, random_state=0).fit(rows.to_numpy(), rows.a)
    (tmp_path / "model.onnx").write_bytes(to_onnx(forest, rows.to_numpy()[:1]).SerializeToString())
    model = load(ref(tmp_path, Modality.TABULAR_REGRESSION, ModelFormat.ONNX))
    assert model.predict(rows).values == pytest.approx(forest.predict(rows.to_numpy()), abs=1e-5)


def test_an_onnx_network_with_one_output_for_two_classes_gives_both(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=1),
        helper.make_node("Sigmoid", ["sum"], ["p"]),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, w]) for n, w in (("x", 2), ("p", 1))]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    proto.ir_version = 9
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    model = load(ref(tmp_path, Modality.TABULAR, ModelFormat.ONNX, labels=("no", "yes")))
    probs = model.predict_proba(pd.DataFrame({"a": [1.0], "b": [0.5]})).probs
    assert probs[0] == pytest.approx([1 - 1 / (1 + np.exp(-1.5)), 1 / (1 + np.exp(-1.5))], abs=1e-6)


def test_onnx_outputs_named_low_and_high_are_the_models_bounds(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["value"], keepdims=1),
        helper.make_node("Sub", ["value", "one"], ["low"]),
        helper.make_node("Add", ["value", "one"], ["high"]),
    ]
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    outputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 1]) for n in ("high", "low", "value")
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=[one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    answers = load(ref(tmp_path, Modality.TABULAR_REGRESSION, ModelFormat.ONNX)).predict(
        pd.DataFrame({"a": [1.5], "b": [2.0]})
    )
    assert (answers.low[0], answers.values[0], answers.high[0]) == (2.5, 3.5, 4.5)


# --- XGBoost ---------------------------------------------------------------------------------------


def xgboost_file(folder: Path, frame: pd.DataFrame, truth: Any, **params: Any) -> Any:
    import xgboost

    booster = xgboost.train(
        {"max_depth": 3, "nthread": 1, **params},
        xgboost.DMatrix(frame, truth, enable_categorical=True),
        num_boost_round=4,
    )
    booster.save_model(folder / "model.json")
    return booster.predict(xgboost.DMatrix(frame, enable_categorical=True))


def test_xgboost_gives_its_own_probabilities_with_categories_by_name_and_missing_values(
    tmp_path: Path,
) -> None:
    frame = table()
    expected = xgboost_file(tmp_path, categorical(frame), target(frame) > 1, objective="binary:logistic")
    model = load(ref(tmp_path, Modality.TABULAR, ModelFormat.XGBOOST, labels=("low", "high")))
    assert model.columns == ("a", "job", "zeros")
    scores = model.predict_proba(frame)
    assert scores.probs[:, 1] == pytest.approx(expected, abs=1e-6)
    part = model.predict_proba(frame[frame.job == "smith"])  # categories are names, not places in this table
    assert part.probs[:, 1] == pytest.approx(expected[frame.job == "smith"], abs=1e-6)


def test_a_category_that_xgboost_has_not_seen_is_an_error_row(tmp_path: Path) -> None:
    frame = table()
    xgboost_file(tmp_path, categorical(frame), target(frame) > 1, objective="binary:logistic")
    model = load(ref(tmp_path, Modality.TABULAR, ModelFormat.XGBOOST))
    assert model.labels == ("0", "1")
    for unseen in ("astronaut", "zoologist"):  # before and after the known ones: XGBoost sees only the second
        scores = model.predict_proba(frame.assign(job=frame.job.where(frame.index != 9, unseen)))
        assert np.flatnonzero(scores.errors).tolist() == [9]


def test_category_names_that_xgboost_saves_damaged_are_refused(tmp_path: Path) -> None:
    frame = table()
    named = frame.assign(job=frame.job.replace("nurse", "Pflegekr\u00e4fte"))
    xgboost_file(tmp_path, categorical(named), target(frame) > 1, objective="binary:logistic")
    with pytest.raises(EvaluationError) as error:
        load(ref(tmp_path, Modality.TABULAR, ModelFormat.XGBOOST))
    assert error.value.code == "model_categories"


def test_xgboost_reads_the_codes_it_was_trained_with_where_the_file_names_no_categories(
    tmp_path: Path,
) -> None:
    import xgboost

    frame = table()[["a", "job"]]
    coded = frame.assign(job=frame.job.astype("category").cat.codes)
    matrix = xgboost.DMatrix(
        coded.to_numpy(float), target(table()) > 1, feature_types=["float", "c"], enable_categorical=True
    )
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 4)
    booster.save_model(tmp_path / "model.json")
    model = load(ref(tmp_path, Modality.TABULAR, ModelFormat.XGBOOST))
    assert model.columns is None
    assert model.predict_proba(coded).probs[:, 1] == pytest.approx(booster.predict(matrix), abs=1e-6)


@pytest.mark.parametrize("objective", ["multi:softprob", "multi:softmax"])
def test_xgboost_with_several_classes(objective: str, tmp_path: Path) -> None:
    frame = table()[["a", "zeros"]]
    truth = np.digitize(target(table()), [0, 1])
    expected = xgboost_file(tmp_path, frame, truth, objective=objective, num_class=3)
    probs = load(ref(tmp_path, Modality.TABULAR, ModelFormat.XGBOOST)).predict_proba(frame).probs
    if objective == "multi:softprob":
        assert probs == pytest.approx(expected, abs=1e-6)
    else:
        assert probs.argmax(axis=1).tolist() == expected.astype(int).tolist()


def test_xgboost_regression_and_its_quantiles_as_bounds(tmp_path: Path) -> None:
    frame = table()[["a", "zeros"]]
    expected = xgboost_file(tmp_path, frame, target(table()), objective="reg:squarederror")
    model = load(ref(tmp_path, Modality.TABULAR_REGRESSION, ModelFormat.XGBOOST))
    assert model.predict(frame).values == pytest.approx(expected, abs=1e-6)
    expected = xgboost_file(
        tmp_path, frame, target(table()), objective="reg:quantileerror", quantile_alpha=[0.95, 0.05, 0.5]
    )
    answers = load(ref(tmp_path, Modality.TABULAR_REGRESSION, ModelFormat.XGBOOST)).predict(frame)
    assert np.column_stack([answers.high, answers.low, answers.values]) == pytest.approx(expected, abs=1e-6)


def test_xgboost_stops_at_its_best_iteration_as_its_own_classifier_does(tmp_path: Path) -> None:
    import xgboost

    frame, truth = table()[["a", "zeros"]], (target(table()) > 1).astype(int)
    flipped = 1 - truth
    classifier = xgboost.XGBClassifier(n_estimators=9, early_stopping_rounds=3, n_jobs=1)
    classifier.fit(frame, truth, eval_set=[(frame, flipped)], verbose=False)  # every further tree is worse
    classifier.save_model(tmp_path / "model.json")
    probs = load(ref(tmp_path, Modality.TABULAR, ModelFormat.XGBOOST)).predict_proba(frame).probs
    assert probs == pytest.approx(classifier.predict_proba(frame), abs=1e-6)


def test_trees_of_another_purpose_are_refused(tmp_path: Path) -> None:
    frame = table()[["a", "zeros"]]
    xgboost_file(tmp_path, frame, target(table()) > 1, objective="binary:hinge")
    for modality in (Modality.TABULAR, Modality.TABULAR_REGRESSION):
        with pytest.raises(EvaluationError, match="'binary:hinge'"):
            load(ref(tmp_path, modality, ModelFormat.XGBOOST))


@pytest.mark.parametrize("format", [ModelFormat.XGBOOST, ModelFormat.LIGHTGBM])
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"learner": {"objective": 3}}', '{"tree_info": [{}]}']
)
def test_damaged_trees_are_said(format: ModelFormat, text: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(EvaluationError) as error:
        load(ref(tmp_path, Modality.TABULAR, format))
    assert error.value.code == "model_unreadable"


# --- LightGBM --------------------------------------------------------------------------------------


def lightgbm_files(folder: Path, frame: pd.DataFrame, truth: Any, **params: Any) -> Any:
    """model.txt in folder/text, the dump in folder/json; returns LightGBM's own answers."""
    import lightgbm

    settings = {"verbose": -1, "num_threads": 1, "num_leaves": 6, "min_data_in_leaf": 5, **params}
    booster = lightgbm.train(settings, lightgbm.Dataset(frame, truth), num_boost_round=5)
    for name in ("text", "json"):
        (folder / name).mkdir(exist_ok=True)
    booster.save_model(folder / "text" / "model.txt")
    (folder / "json" / "model.json").write_text(json.dumps(booster.dump_model()))
    return booster.predict(frame)


@pytest.mark.parametrize("file", ["text", "json"])
@pytest.mark.parametrize(
    ("params", "classes"),
    [
        ({"objective": "binary"}, 2),
        ({"objective": "binary", "sigmoid": 2.5, "zero_as_missing": True}, 2),
        ({"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}, 2),
        ({"objective": "binary", "use_missing": False}, 2),
        ({"objective": "multiclass", "num_class": 3}, 3),
    ],
    ids=["plain", "zero_as_missing", "forest", "no_missing", "multiclass"],
)
def test_lightgbm_gives_its_own_probabilities_from_text_and_from_its_dump(
    params: dict[str, Any], classes: int, file: str, tmp_path: Path
) -> None:
    frame = table(400)
    truth = np.digitize(target(frame), [0.3] if classes == 2 else [0, 1])
    expected = lightgbm_files(tmp_path, categorical(frame), truth, **params)
    model = load(ref(tmp_path / file, Modality.TABULAR, ModelFormat.LIGHTGBM))
    probs = model.predict_proba(frame).probs
    assert model.columns == ("a", "job", "zeros")
    assert (probs if classes > 2 else probs[:, 1]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("file", ["text", "json"])
@pytest.mark.parametrize("objective", ["regression", "poisson", "quantile", "regression_l1"])
def test_lightgbm_regression(objective: str, file: str, tmp_path: Path) -> None:
    frame = table(400)
    truth = np.abs(target(frame))
    expected = lightgbm_files(tmp_path, categorical(frame), truth, objective=objective, reg_sqrt=True)
    model = load(ref(tmp_path / file, Modality.TABULAR_REGRESSION, ModelFormat.LIGHTGBM))
    assert model.predict(frame).values == pytest.approx(expected, abs=1e-9)


def test_what_lightgbm_has_not_seen_is_missing_as_it_says(tmp_path: Path) -> None:
    import lightgbm

    frame = table(400)
    lightgbm_files(tmp_path, categorical(frame), target(frame) > 0.3, objective="binary")
    odd = frame.assign(job=frame.job.where(frame.index % 2 == 0, "astronaut"))
    booster = lightgbm.Booster(model_file=tmp_path / "text" / "model.txt")
    expected = booster.predict(odd.assign(job=odd.job.astype("category")))
    for file in ("text", "json"):
        probs = load(ref(tmp_path / file, Modality.TABULAR, ModelFormat.LIGHTGBM)).predict_proba(odd).probs
        assert probs[:, 1] == pytest.approx(expected, abs=1e-9)


def test_linear_leaves_are_refused_in_a_dump_and_read_from_text(tmp_path: Path) -> None:
    frame = table(400)[["a", "zeros"]].fillna(0)
    expected = lightgbm_files(tmp_path, frame, target(table(400)), objective="regression", linear_tree=True)
    model = load(ref(tmp_path / "text", Modality.TABULAR_REGRESSION, ModelFormat.LIGHTGBM))
    assert model.predict(frame).values == pytest.approx(expected, abs=1e-9)
    with pytest.raises(EvaluationError, match="linear"):
        load(ref(tmp_path / "json", Modality.TABULAR_REGRESSION, ModelFormat.LIGHTGBM))
