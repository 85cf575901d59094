"""What a folder of model files claims to be, for local runs; the registry decides by content, at intake."""

from __future__ import annotations

import json
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


def detect(folder: Path) -> tuple[Modality, ModelFormat]:
    """Kind and format of the model in `folder`. Raises EvaluationError `model_kind_unknown`: then both must be said."""
    if not folder.is_dir():
        raise EvaluationError(
            "model_missing", f"There is no folder {str(folder)!r}. Give the folder of the model."
        )
    if (folder / "config.json").is_file():
        for name in _architectures(folder / "config.json"):
            for ending, modality in ARCHITECTURES:
                if name.endswith(ending):
                    return modality, ModelFormat.SAFETENSORS
    for suffix, kind in SUFFIXES.items():
        if any(folder.glob(f"*{suffix}")):
            return Modality.TABULAR, kind
    raise EvaluationError(
        "model_kind_unknown",
        f"The files in {str(folder)!r} do not say what kind of model this is. Name its modality "
        f"({', '.join(Modality)}) and its format ({', '.join(ModelFormat)}).",
    )


def _architectures(config: Path) -> list[str]:
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(
            "model_files", f"config.json could not be read: {str(error)[:200]}. Save the model again."
        ) from error
    names = found.get("architectures") if isinstance(found, dict) else None
    return [str(name) for name in names or []]
