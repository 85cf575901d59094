"""Tabular classifiers in ONNX files, run by onnxruntime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evaluations.models.loader import agreed_labels, one_file
from evaluations.models.protocol import Scores, Usage
from evaluations.models.tabular import score_rows
from evaluations.spec import Access, EvaluationError, Modality, ModelRef

if TYPE_CHECKING:
    import pandas as pd

KINDS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


class OnnxClassifier:
    """One input tensor (n, d) of all input columns, or one input (n, 1) per column, matched by name."""

    modality: ClassVar[Modality] = Modality.TABULAR
    adapter: ClassVar[str] = "tabular_onnx/1"
    access: ClassVar[Access] = Access.LABEL | Access.PROBS
    device = "cpu"

    def __init__(self, session: Any, output: str, labels: tuple[str, ...]) -> None:
        self.session = session
        self.output = output
        self.labels = labels
        self.inputs = session.get_inputs()
        self.columns = tuple(i.name for i in self.inputs) if len(self.inputs) > 1 else None
        self.usage = Usage()

    def predict_proba(self, rows: pd.DataFrame) -> Scores:
        self.usage.queries += len(rows)
        return score_rows(self._run, rows, len(self.labels))

    def _run(self, frame: pd.DataFrame) -> Any:
        if len(self.inputs) == 1:
            only = self.inputs[0]
            feed = {only.name: frame.to_numpy(KINDS[only.type])}
        else:
            feed = {i.name: frame[[i.name]].to_numpy(KINDS[i.type]) for i in self.inputs}
        (probs,) = self.session.run([self.output], feed)
        if isinstance(probs, list):  # a ZipMap: one dictionary per row, keys in output order
            probs = np.array([list(row.values()) for row in probs])
        return probs


def load(folder: Path, ref: ModelRef) -> OnnxClassifier:
    """The classifier in the folder's one .onnx file. Raises EvaluationError where it is not one."""
    import onnxruntime

    path = one_file(folder, "*.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        # From bytes, not from the path: so that external data files outside the folder cannot be named.
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise EvaluationError(
            "model_unreadable",
            f"The ONNX file could not be loaded: {str(error)[:300]}. Export it again, in one file.",
        ) from error
    unknown = [f"{i.name}: {i.type}" for i in session.get_inputs() if i.type not in KINDS]
    if unknown:
        raise EvaluationError("model_inputs", f"These inputs are not supported: {', '.join(unknown)}.")
    output, own, outputs = _probabilities(session, ref)
    return OnnxClassifier(session, output, agreed_labels(ref, own, outputs))


def _probabilities(session: Any, ref: ModelRef) -> tuple[str, tuple[str, ...], int]:
    """Name of the output with class probabilities, its own class names if it has any, and their number."""
    for output in session.get_outputs():
        if output.type in ("tensor(float)", "tensor(double)") and len(output.shape) == 2:
            classes = output.shape[1]
            if isinstance(classes, int) or ref.labels:
                return output.name, (), classes if isinstance(classes, int) else len(ref.labels)
        if output.type.startswith("seq(map(") and ref.labels:
            return output.name, (), len(ref.labels)
    raise EvaluationError(
        "model_no_probabilities",
        "No output of the ONNX model is a table of class probabilities (n, K) with named classes. Export the "
        "classifier with its probabilities, and register it with --labels, in output order.",
    )
