"""Opens ONNX files, int8 ones included, for onnxruntime on the CPU."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.models.loader import one_file
from evaluations.spec import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}
FLOATS = ("tensor(float)", "tensor(double)", "tensor(float16)")


def open_session(folder: Path) -> Any:
    """An InferenceSession over the folder's one .onnx file."""
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
    return session


class Logits:
    """The output of a network that gives scores per class, whatever else it gives; `outputs` is their number."""

    def __init__(self, session: Any, rank: int) -> None:
        """Takes the output named logits, else the first of `rank` dimensions."""
        fitting = [o for o in session.get_outputs() if o.type in FLOATS and len(o.shape) == rank]
        named = [o for o in fitting if o.name == "logits"] or fitting
        if not named:
            raise EvaluationError(
                "model_outputs",
                f"The ONNX model has no output with {rank} dimensions that could hold its class scores. "
                "Export the whole classifier, with its output named logits.",
            )
        self.session = session
        self.output = named[0].name
        self.outputs = named[0].shape[-1] if isinstance(named[0].shape[-1], int) else None
        self.inputs = {i.name: KINDS[i.type] for i in session.get_inputs()}
        first = session.get_inputs()[0].shape[0]
        self.rows = first if isinstance(first, int) and first > 0 else None  # exported for so many at a time

    def __call__(self, batch: Mapping[str, Any]) -> NDArray[np.float32]:
        """Logits of a batch of arrays, by the names of the inputs; what the network does not ask for is left out."""
        absent = sorted(self.inputs.keys() - batch.keys())
        if absent:
            raise EvaluationError(
                "model_inputs", f"The ONNX model asks for {', '.join(absent)}, which its inputs do not give."
            )
        feed = {name: np.asarray(batch[name]).astype(kind) for name, kind in self.inputs.items()}
        if self.rows is None:
            return self._run(feed)
        n = len(next(iter(feed.values())))
        parts = []
        for start in range(0, n, self.rows):
            taken = np.minimum(np.arange(start, start + self.rows), n - 1)  # the last row fills what is left
            parts.append(self._run({name: values[taken] for name, values in feed.items()}))
        return np.concatenate(parts)[:n]

    def _run(self, feed: dict[str, Any]) -> NDArray[np.float32]:
        try:
            return np.asarray(self.session.run([self.output], feed)[0], dtype=np.float32)
        except Exception as error:  # onnxruntime's exceptions share no public base class
            if refused_memory(error):
                raise MemoryError from error
            raise EvaluationError(
                "model_failed",
                f"The ONNX model failed: {str(error)[:300]}. Export it with free batch and sequence dimensions "
                "(dynamic axes).",
            ) from error


def refused_memory(error: Exception) -> bool:
    """Whether this is onnxruntime's way to say that memory ran out: its errors share no class with Python's."""
    return bool(
        re.search(r"bad_alloc|allocate memory|bad allocation|out of memory", str(error), re.IGNORECASE)
    )
