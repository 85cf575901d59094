"""Intake accepts what scikit-learn users really save, and reads ONNX as the ONNX library writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from evaluations.intake.inspection import Accepted, Refused, inspect_model


def small_onnx(**changes: object) -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.ones((2, 2), "float32"), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 2]) for n in "xy")
    graph = helper.make_graph([node], "g", [x], [y], initializer=[weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], **changes)


def refusal(folder: Path) -> str:
    result = inspect_model(folder, "tabular")
    assert isinstance(result, Refused), result
    return result.reasons[0].code


def test_a_gradient_boosting_pipeline_in_skops_is_accepted(tmp_path: Path) -> None:
    import pandas
    import skops.io
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pandas.DataFrame({"age": np.arange(40.0), "sex": ["F", "M"] * 20})
    truth = np.array(["<=50K", ">50K", ">50K", "<=50K"] * 10)
    for estimator in (
        HistGradientBoostingClassifier(max_iter=3),
        RandomForestClassifier(3),
        LogisticRegression(),
    ):
        columns = make_column_transformer(
            (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["sex"]),
            (StandardScaler(), ["age"]),
        )
        folder = tmp_path / type(estimator).__name__
        folder.mkdir()
        skops.io.dump(make_pipeline(columns, estimator).fit(frame, truth), folder / "model.skops")
        assert isinstance(inspect_model(folder, "tabular"), Accepted), inspect_model(folder, "tabular")


def test_an_onnx_model_is_accepted(tmp_path: Path) -> None:
    onnx.save(small_onnx(), tmp_path / "model.onnx")
    result = inspect_model(tmp_path, "tabular")
    assert isinstance(result, Accepted), result
    assert result.format == "onnx"


def test_an_exported_forest_is_accepted(tmp_path: Path) -> None:
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
    forest = RandomForestClassifier(5, random_state=0).fit(x, x[:, 0] > 0)
    (tmp_path / "model.onnx").write_bytes(to_onnx(forest, x[:1]).SerializeToString())
    assert isinstance(inspect_model(tmp_path, "tabular"), Accepted)


def test_an_onnx_model_with_weights_in_another_file_is_refused_wherever_they_are(tmp_path: Path) -> None:
    def external(tensor: onnx.TensorProto) -> onnx.TensorProto:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")
        return tensor

    model = small_onnx()
    external(model.graph.initializer[0])
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert refusal(tmp_path) == "onnx_external"

    model = small_onnx()
    constant = helper.make_node(
        "Constant", [], ["c"], value=external(numpy_helper.from_array(np.ones(2), "c"))
    )
    branch = helper.make_graph([constant], "branch", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert refusal(tmp_path) == "onnx_external"


def test_an_onnx_model_with_operators_of_others_is_refused(tmp_path: Path) -> None:
    model = small_onnx()
    model.opset_import.append(helper.make_opsetid("my.custom.ops", 1))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert refusal(tmp_path) == "onnx_domain"


@pytest.mark.parametrize(
    "data", [b"", b"hello world, no model", b"\x0a\xff\xff\xff\xff\x0f", b"\x08" + b"\xff" * 12, b"\x08\x08"]
)
def test_what_is_no_onnx_model_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(data)
    assert refusal(tmp_path) == "onnx"


def test_every_cut_of_an_onnx_model_is_refused_or_a_model_of_its_own(tmp_path: Path) -> None:
    whole = small_onnx().SerializeToString()
    for end in range(len(whole)):
        (tmp_path / "model.onnx").write_bytes(whole[:end])
        assert refusal(tmp_path) == "onnx"
