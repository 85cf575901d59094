"""Chooses the adapter for a model reference. Each adapter's libraries load only when it is chosen."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from evaluations.spec import EvaluationError, Modality, ModelFormat, ModelRef

if TYPE_CHECKING:
    from evaluations.models.protocol import Model


# What reads which files: each module has load(folder, ref). A new kind of model is a new line.
ADAPTERS: dict[tuple[Modality, ModelFormat], str] = {
    (Modality.TEXT_CLASSIFIER, ModelFormat.SAFETENSORS): "evaluations.models.text_hf",
    (Modality.TEXT_CLASSIFIER, ModelFormat.ONNX): "evaluations.models.onnx_text",
    (Modality.TOKEN_CLASSIFIER, ModelFormat.SAFETENSORS): "evaluations.models.token_classifier_hf",
    (Modality.TOKEN_CLASSIFIER, ModelFormat.ONNX): "evaluations.models.onnx_text",
    (Modality.SEQ2SEQ, ModelFormat.SAFETENSORS): "evaluations.models.seq2seq",
    (Modality.EXTRACTIVE_QA, ModelFormat.SAFETENSORS): "evaluations.models.extractive_qa",
    (Modality.CAUSAL_LM, ModelFormat.SAFETENSORS): "evaluations.models.causal_lm",
    (Modality.MASKED_LM, ModelFormat.SAFETENSORS): "evaluations.models.masked_lm",
    (Modality.IMAGE_CLASSIFIER, ModelFormat.SAFETENSORS): "evaluations.models.image_hf",
    (Modality.IMAGE_CLASSIFIER, ModelFormat.ONNX): "evaluations.models.onnx_image",
    (Modality.TABULAR, ModelFormat.SKOPS): "evaluations.models.tabular_skops",
    (Modality.TABULAR, ModelFormat.ONNX): "evaluations.models.tabular_onnx",
    (Modality.TABULAR, ModelFormat.XGBOOST): "evaluations.models.tabular_xgboost",
    (Modality.TABULAR, ModelFormat.LIGHTGBM): "evaluations.models.tabular_lightgbm",
    (Modality.TABULAR_REGRESSION, ModelFormat.SKOPS): "evaluations.models.tabular_skops",
    (Modality.TABULAR_REGRESSION, ModelFormat.ONNX): "evaluations.models.tabular_onnx",
    (Modality.TABULAR_REGRESSION, ModelFormat.XGBOOST): "evaluations.models.tabular_xgboost",
    (Modality.TABULAR_REGRESSION, ModelFormat.LIGHTGBM): "evaluations.models.tabular_lightgbm",
    (Modality.RECOMMENDER, ModelFormat.SAFETENSORS): "evaluations.models.recommender",
    (Modality.RECOMMENDER, ModelFormat.ONNX): "evaluations.models.recommender",
    (Modality.TEXT_CLASSIFIER, ModelFormat.ENDPOINT): "evaluations.models.endpoint",
    (Modality.IMAGE_CLASSIFIER, ModelFormat.ENDPOINT): "evaluations.models.endpoint",
    (Modality.TABULAR, ModelFormat.ENDPOINT): "evaluations.models.endpoint",
    (Modality.TABULAR_REGRESSION, ModelFormat.ENDPOINT): "evaluations.models.endpoint",
    (Modality.CAUSAL_LM, ModelFormat.ENDPOINT): "evaluations.models.endpoint",
    (Modality.SEQ2SEQ, ModelFormat.ENDPOINT): "evaluations.models.endpoint",
}
# Tasks of transformers that have no adapter, by the end of the architecture's name.
NOT_YET = {
    "ForObjectDetection": "Object detection",
    "ForZeroShotObjectDetection": "Object detection",
    "ForSemanticSegmentation": "Image segmentation",
    "ForInstanceSegmentation": "Image segmentation",
    "ForUniversalSegmentation": "Image segmentation",
    "ForImageSegmentation": "Image segmentation",
    "ForDepthEstimation": "Depth estimation",
    "ForAudioClassification": "Audio",
    "ForAudioFrameClassification": "Audio",
    "ForSpeechSeq2Seq": "Audio",
    "ForCTC": "Audio",
    "ForTextToWaveform": "Audio",
    "WhisperForConditionalGeneration": "Audio",
    "Speech2TextForConditionalGeneration": "Audio",
    "ForVideoClassification": "Video",
}


def load(ref: ModelRef) -> Model:
    """The model at `ref`. Raises EvaluationError with what is wrong with the files."""
    folder = Path(ref.path)
    if not folder.is_dir():
        raise EvaluationError("model_missing", "The model's folder is not there. Push the model again.")
    _refuse_other_tasks(folder)
    module = ADAPTERS.get((ref.modality, ref.format))
    if module is None:
        known = [format.value for modality, format in ADAPTERS if modality is ref.modality]
        raise EvaluationError(
            "model_unsupported",
            f"A {ref.modality} model in {ref.format} format is not supported yet. "
            f"Supported for {ref.modality}: {', '.join(known) or 'no format'}.",
            skipped=True,
        )
    model: Model = importlib.import_module(module).load(folder, ref)
    return model


def _refuse_other_tasks(folder: Path) -> None:
    """Raises `model_unsupported` for a folder that says it does what no adapter here does."""
    task = "Image generation" if (folder / "model_index.json").is_file() else None  # a diffusers pipeline
    if task is None and (folder / "config.json").is_file():
        try:
            config = json.loads((folder / "config.json").read_bytes())
            names = [str(name) for name in config.get("architectures") or ()]
        except (ValueError, AttributeError, TypeError, RecursionError):
            return  # the adapter says what is wrong with it
        task = next((NOT_YET[end] for name in names for end in NOT_YET if name.endswith(end)), None)
    if task is not None:
        raise EvaluationError(
            "model_unsupported",
            f"{task} is not supported yet. Supported: {', '.join(sorted({m.value for m, _ in ADAPTERS}))}.",
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
