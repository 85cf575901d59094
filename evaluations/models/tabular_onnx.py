"""Tabular classifiers and regressors in ONNX files, run by onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evaluations.models.loader import agreed_labels
from evaluations.models.onnx_session import FLOATS, KINDS, open_session
from evaluations.models.protocol import Predictions, Scores, Usage
from evaluations.models.tabular import predict_rows, score_rows
from evaluations.spec import Access, EvaluationError, Modality, ModelRef

if TYPE_CHECKING:
    import pandas as pd


class _Table:
    """One input tensor (n, d) of all input columns, or one input (n, 1) per column, matched by name."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.inputs = session.get_inputs()
        self.columns = tuple(i.name for i in self.inputs) if len(self.inputs) > 1 else None

    def run(self, frame: pd.DataFrame, outputs: list[str]) -> list[Any]:
        if len(self.inputs) == 1:
            only = self.inputs[0]
            feed = {only.name: frame.to_numpy(KINDS[only.type])}
        else:
            feed = {i.name: frame[[i.name]].to_numpy(KINDS[i.type]) for i in self.inputs}
        return list(self.session.run(outputs, feed))


class OnnxClassifier:
    """A classifier with an output of class probabilities, as a table or as one dictionary per row (ZipMap)."""

    modality: ClassVar[Modality] = Modality.TABULAR
    adapter: ClassVar[str] = "tabular_onnx/2"
    access: ClassVar[Access] = Access.LABEL | Access.PROBS
    device = "cpu"

    def __init__(
        self, session: Any, output: str, labels: tuple[str, ...], keys: tuple[Any, ...] | None = None
    ) -> None:
        self.table = _Table(session)
        self.columns = self.table.columns
        self.output = output
        self.labels = labels
        self.keys = keys  # of a ZipMap, in the order of `labels`
        self.usage = Usage()

    def predict_proba(self, rows: pd.DataFrame) -> Scores:
        self.usage.queries += len(rows)
        return score_rows(self._probabilities, rows, len(self.labels))

    def _probabilities(self, frame: pd.DataFrame) -> Any:
        (probs,) = self.table.run(frame, [self.output])
        if isinstance(probs, list):
            return np.array([[row[key] for key in self.keys or row] for row in probs])
        if len(self.labels) == 2 and np.shape(probs) == (len(frame), 1):
            return np.hstack([1 - probs, probs])  # of the second class alone, as networks for two classes end
        return probs


class OnnxRegressor:
    """A regressor: one number per row, with the model's own bounds where it has outputs named low and high."""

    modality: ClassVar[Modality] = Modality.TABULAR_REGRESSION
    adapter: ClassVar[str] = "tabular_onnx/2"
    access: ClassVar[Access] = Access.LABEL
    device = "cpu"

    def __init__(self, session: Any, outputs: list[str]) -> None:
        self.table = _Table(session)
        self.columns = self.table.columns
        self.outputs = outputs
        self.usage = Usage()

    def predict(self, rows: pd.DataFrame) -> Predictions:
        self.usage.queries += len(rows)
        return predict_rows(
            lambda frame: np.column_stack(
                [np.asarray(v).reshape(len(frame), -1) for v in self.table.run(frame, self.outputs)]
            ),
            rows,
        )


def load(folder: Path, ref: ModelRef) -> OnnxClassifier | OnnxRegressor:
    """The model in the folder's one .onnx file. Raises EvaluationError where it is not one of its kind."""
    session = open_session(folder)
    if ref.modality is Modality.TABULAR_REGRESSION:
        return OnnxRegressor(session, _numbers(session))
    for output in session.get_outputs():
        if output.type.startswith("seq(map("):
            keys = _zipmap_keys(folder)
            own = tuple(map(str, keys or ()))
            return OnnxClassifier(
                session, output.name, agreed_labels(ref, own, len(own) or len(ref.labels)), keys
            )
        if output.type in FLOATS and len(output.shape) == 2:
            classes = output.shape[1]
            if isinstance(classes, int) or ref.labels:
                outputs = max(2, classes) if isinstance(classes, int) else len(ref.labels)
                return OnnxClassifier(session, output.name, agreed_labels(ref, (), outputs))
    raise EvaluationError(
        "model_no_probabilities",
        "No output of the ONNX model is a table of class probabilities (n, K) with named classes. Export the "
        "classifier with its probabilities, and register it with --labels, in output order.",
    )


def _zipmap_keys(folder: Path) -> tuple[Any, ...] | None:
    """The class names that the file's ZipMap gives to the probabilities, in the order of the columns before it."""
    import onnx

    from evaluations.models.loader import one_file

    graph = onnx.load_model_from_string(one_file(folder, "*.onnx").read_bytes()).graph
    for node in graph.node:
        if node.op_type == "ZipMap":
            for attribute in node.attribute:
                if attribute.name == "classlabels_strings":
                    return tuple(name.decode("utf-8", "replace") for name in attribute.strings)
                if attribute.name == "classlabels_int64s":
                    return tuple(attribute.ints)
    return None


def _numbers(session: Any) -> list[str]:
    """The output with the predicted number, and after it those of its lower and upper bound where there are both."""
    fitting = [o for o in session.get_outputs() if o.type in FLOATS and _one_column(o.shape)]
    bounds = [o.name for name in ("low", "high") for o in fitting if o.name == name]
    values = [o.name for o in fitting if o.name not in ("low", "high")]
    if len(values) != 1:
        raise EvaluationError(
            "model_not_regressor",
            f"A regressor in ONNX has one output (n, 1) of numbers, and at most two more, named low and high; this "
            f"one has {', '.join(o.name for o in session.get_outputs())}. Export the regressor alone.",
        )
    return values + bounds if len(bounds) == 2 else values


def _one_column(shape: list[Any]) -> bool:
    return len(shape) == 1 or (len(shape) == 2 and (shape[1] == 1 or not isinstance(shape[1], int)))
