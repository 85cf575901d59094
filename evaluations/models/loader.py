"""Chooses the adapter for a model reference. Each adapter's libraries load only when it is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evaluations.spec import EvaluationError, Modality, ModelFormat, ModelRef

if TYPE_CHECKING:
    from evaluations.models.protocol import Model


def load(ref: ModelRef) -> Model:
    """The model at `ref`. Raises EvaluationError with what is wrong with the files."""
    folder = Path(ref.path)
    if not folder.is_dir():
        raise EvaluationError("model_missing", "The model's folder is not there. Push the model again.")
    if ref.modality is Modality.TEXT_CLASSIFIER and ref.format is ModelFormat.SAFETENSORS:
        from evaluations.models import text_hf

        return text_hf.load(folder, ref)
    if ref.modality is Modality.TABULAR and ref.format is ModelFormat.SKOPS:
        from evaluations.models import tabular_skops

        return tabular_skops.load(folder, ref)
    if ref.modality is Modality.TABULAR and ref.format is ModelFormat.ONNX:
        from evaluations.models import tabular_onnx

        return tabular_onnx.load(folder, ref)
    raise EvaluationError(
        "model_unsupported",
        f"A {ref.modality} model in {ref.format} format is not supported yet. "
        "Supported: text_classifier in safetensors; tabular in skops or onnx.",
        skipped=True,
    )


def one_file(folder: Path, pattern: str) -> Path:
    """The only file in `folder` that matches `pattern`, never a symbolic link."""
    found = [p for p in sorted(folder.glob(pattern)) if p.is_file() and not p.is_symlink()]
    if len(found) != 1:
        raise EvaluationError(
            "model_files",
            f"The model folder holds {len(found)} files {pattern}; exactly one is needed. Push the folder again.",
        )
    return found[0]


def agreed_labels(ref: ModelRef, own: tuple[str, ...], outputs: int) -> tuple[str, ...]:
    """Class names in output order: those registered, else the model's own. Raises where they do not fit."""
    labels = ref.labels or own
    if not labels:
        raise EvaluationError(
            "labels_unknown",
            "The model does not say what its classes are called. Register it with --labels, in output order.",
        )
    if len(labels) != outputs or len(set(labels)) != len(labels):
        raise EvaluationError(
            "labels_count",
            f"The model has {outputs} outputs, but these class names: {', '.join(map(repr, labels))}. "
            "Register it with one distinct name per output, in output order.",
        )
    if (
        ref.labels
        and own
        and not own[0].startswith("LABEL_")
        and own != ref.labels
        and set(own) == set(ref.labels)
    ):
        raise EvaluationError(
            "labels_order",
            f"The model names its outputs {', '.join(map(repr, own))}, but it was registered with the same names in "
            f"another order: {', '.join(map(repr, ref.labels))}. Register it again with the model's order.",
        )
    return tuple(labels)
