"""What a folder of model files claims to be, for local runs; the registry decides by content, at intake."""

from __future__ import annotations

import json
import re
from pathlib import Path

from evaluations.spec import EvaluationError, Modality, ModelFormat

# The end of a Hugging Face architecture's name -> what kind of model it is. The first that fits.
ARCHITECTURES = (
    ("ForSequenceClassification", Modality.TEXT_CLASSIFIER),
    ("ForTokenClassification", Modality.TOKEN_CLASSIFIER),
    ("ForQuestionAnswering", Modality.EXTRACTIVE_QA),
    ("ForImageClassification", Modality.IMAGE_CLASSIFIER),
    ("ForMaskedLM", Modality.MASKED_LM),
    ("ForConditionalGeneration", Modality.SEQ2SEQ),
    ("MTModel", Modality.SEQ2SEQ),
    ("ForCausalLM", Modality.CAUSAL_LM),
    ("LMHeadModel", Modality.CAUSAL_LM),
)
SUFFIXES = {".skops": ModelFormat.SKOPS, ".onnx": ModelFormat.ONNX}
# What the objective of boosted trees begins with, where they tell classes apart.
CLASSES = ("binary", "multi", "cross_entropy", "xentropy", "reg:logistic")


def detect(folder: Path) -> tuple[Modality, ModelFormat]:
    """Kind and format of the model in `folder`. Raises EvaluationError `model_kind_unknown`: then both must be said.

    Tables in skops or ONNX, which do not tell without being loaded, are taken for classifiers, and so are
    REST endpoints that give no values.
    """
    if not folder.is_dir():
        raise EvaluationError(
            "model_missing", f"There is no folder {str(folder)!r}. Give the folder of the model."
        )
    if (folder / "config.json").is_file():
        for name in _architectures(folder / "config.json"):
            for ending, modality in ARCHITECTURES:
                if name.endswith(ending):
                    return modality, _weights(folder)
    if (folder / "endpoint.json").is_file():
        return _served(folder), ModelFormat.ENDPOINT
    if (folder / "ids.json").is_file():
        return Modality.RECOMMENDER, _weights(folder)
    if trees := _trees(folder):
        return trees
    for suffix, kind in SUFFIXES.items():
        if any(folder.glob(f"*{suffix}")):
            return Modality.TABULAR, kind
    raise EvaluationError(
        "model_kind_unknown",
        f"The files in {str(folder)!r} do not say what kind of model this is. Name its modality "
        f"({', '.join(Modality)}) and its format ({', '.join(ModelFormat)}).",
    )


def _served(folder: Path) -> Modality:
    from evaluations.models.endpoint import read_spec

    spec = read_spec(folder)
    if spec.rest is None:
        return Modality.CAUSAL_LM
    return Modality.TABULAR_REGRESSION if spec.rest.gives == "values" else Modality.TABULAR


def _weights(folder: Path) -> ModelFormat:
    """ONNX where that is all the folder holds."""
    plain = any(folder.glob("*.safetensors")) or not any(folder.glob("*.onnx"))
    return ModelFormat.SAFETENSORS if plain else ModelFormat.ONNX


def _trees(folder: Path) -> tuple[Modality, ModelFormat] | None:
    """What XGBoost or LightGBM wrote, by its content."""
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        if text.startswith("tree\nversion="):
            named = re.search(r"^objective=(.*)$", text, re.MULTILINE)
            return _kind(named.group(1) if named else ""), ModelFormat.LIGHTGBM
    for path in sorted(folder.glob("*.json")):
        try:
            found = json.loads(path.read_bytes())
            if "learner" in found:
                return _kind(str(found["learner"]["objective"]["name"])), ModelFormat.XGBOOST
            if "tree_info" in found:
                return _kind(str(found["objective"])), ModelFormat.LIGHTGBM
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # no trees: the loader says what is wrong with the folder
    return None


def _kind(objective: str) -> Modality:
    return Modality.TABULAR if objective.startswith(CLASSES) else Modality.TABULAR_REGRESSION


def _architectures(config: Path) -> list[str]:
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(
            "model_files", f"config.json could not be read: {str(error)[:200]}. Save the model again."
        ) from error
    names = found.get("architectures") if isinstance(found, dict) else None
    return [str(name) for name in names or []]
