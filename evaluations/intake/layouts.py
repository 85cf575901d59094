"""What the files of a model must be together, by format."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluations.intake.formats import endpoint, json_text, safetensors
from evaluations.intake.model_kinds import HUGGING_FACE, KINDS, expected
from evaluations.intake.model_texts import INDEX
from evaluations.intake.reasons import Reason
from evaluations.spec import Modality, ModelFormat

_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
TOKENIZER = "tokenizer_config.json"
_FACTORS = {"user_factors", "item_factors"}
MAX_IDS = 5_000_000


def check_set(
    folder: Path, files: set[str], models: dict[str, ModelFormat], modality: Modality
) -> list[Reason]:
    """Reasons against the `files` of a folder as one model; `models` are those that are a model, with their format."""
    kind = KINDS[modality]
    formats = sorted(set(models.values()))
    first = min(models, default="")
    if not models:
        return [Reason("no_model", "", f"The folder holds no model. {expected(modality)}")]
    if len(formats) > 1:
        return [_many(models)]
    if formats[0] not in kind.formats:
        return [Reason("wrong_format", first, f"The model is registered as {modality}. {expected(modality)}")]
    if formats[0] is ModelFormat.ENDPOINT:
        return _check_alone(models) or _check_endpoint(folder, modality)
    if kind.architectures and formats[0] in HUGGING_FACE:
        return _check_hugging_face(folder, files, sorted(models), modality)
    if modality is Modality.RECOMMENDER:
        return _check_alone(models) or _check_recommender(folder, files, first)
    return _check_alone(models)


def _many(models: dict[str, ModelFormat]) -> Reason:
    return Reason(
        "many_models", "", f"The folder holds several models: {', '.join(sorted(models)[:5])}. Keep one."
    )


def _check_alone(models: dict[str, ModelFormat]) -> list[Reason]:
    """Exactly one file, at the top."""
    if len(models) > 1:
        return [_many(models)]
    (only,) = models
    if "/" in only:
        return [Reason("no_model", only, "The model lies in a folder below. Move it to the top.")]
    return []


# --- Hugging Face -----------------------------------------------------------------------------------


def _check_hugging_face(folder: Path, files: set[str], models: list[str], modality: Modality) -> list[Reason]:
    reasons = []
    if "config.json" not in files:
        reasons.append(Reason("no_config", "config.json", f"The file is missing. {expected(modality)}"))
    else:
        reasons += _check_config(folder, modality)
    reasons += _PREPARED[KINDS[modality].prepared_by](files)
    if "tokenizer.json" not in files:
        reasons += _check_vocabulary(folder, files)
    if models[0].endswith(".onnx"):
        return reasons + _check_alone(dict.fromkeys(models, ModelFormat.ONNX))
    if INDEX in files:
        return reasons + _check_shards(folder, models)
    if models != ["model.safetensors"]:
        message = f"Exactly one model.safetensors is needed, or shards with {INDEX}. Save the model again."
        reasons.append(Reason("no_model", "model.safetensors", message))
    return reasons


def _check_config(folder: Path, modality: Modality) -> list[Reason]:
    config, kind = _load(folder / "config.json"), KINDS[modality]
    named = config.get("architectures") if isinstance(config, dict) else None
    named = [str(name) for name in named] if isinstance(named, list) else []
    if any(name.endswith(kind.architectures) for name in named):
        return []
    wanted = " or ".join(f"…{end}" for end in kind.architectures)
    found = ", ".join(name[:60] for name in named[:3]) or "none"
    message = (
        f"The configuration names the architecture {found}, but {kind.called[0].lower()}{kind.called[1:]} is "
        f"{wanted}. Save the model from that class of transformers, or register it as what it is."
    )
    return [Reason("wrong_architecture", "config.json", message)]


def _check_tokenizer(files: set[str]) -> list[Reason]:
    if {"tokenizer.json", "vocab.txt"} & files or {"vocab.json", "merges.txt"} <= files:
        return []
    message = "The tokenizer is missing. Save it beside the model: tokenizer.save_pretrained(folder)."
    return [Reason("no_tokenizer", "tokenizer.json", message)]


def _check_vocabulary(folder: Path, files: set[str]) -> list[Reason]:
    """Without tokenizer.json, some classes of transformers open the paths that their configuration names."""
    held = _load(folder / TOKENIZER) if TOKENIZER in files else None
    named = [
        key for key in ("vocab_file", "merges_file") if isinstance(held, dict) and held.get(key) is not None
    ]
    if not named:
        return []
    message = (
        f"The tokenizer has a file read from wherever {named[0]} says. Remove {' and '.join(named)} from the file, or "
        "save the tokenizer again with its tokenizer.json."
    )
    return [Reason("index", TOKENIZER, message)]


def _check_preprocessor(files: set[str]) -> list[Reason]:
    if {"preprocessor_config.json", "processor_config.json"} & files:
        return []
    message = (
        "The file that says how images are resized and scaled is missing. Save it beside the model: "
        "processor.save_pretrained(folder)."
    )
    return [Reason("no_preprocessor", "preprocessor_config.json", message)]


_PREPARED: dict[str, Callable[[set[str]], list[Reason]]] = {
    "tokenizer": _check_tokenizer,
    "preprocessor": _check_preprocessor,
}


def _check_shards(folder: Path, models: list[str]) -> list[Reason]:
    """The index and the shards must name each other: nothing outside the folder, nothing left over."""
    index = _load(folder / INDEX)
    table = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(table, dict) or not all(
        isinstance(v, str) and _SHARD.fullmatch(v) for v in table.values()
    ):
        message = (
            "The index names files other than model-00001-of-….safetensors beside it. Save the model again."
        )
        return [Reason("index", INDEX, message)]
    reasons = []
    for path in sorted(set(table.values()) ^ set(models)):
        what = "missing" if path not in models else "not in the index"
        reasons.append(
            Reason("shards", path, f"This file is {what}. Save the model again, and push the whole folder.")
        )
    for path in sorted(set(table.values()) & set(models)):
        with (folder / path).open("rb") as file:
            held = safetensors.check(file, (folder / path).stat().st_size)
        if held != {name for name, shard in table.items() if shard == path}:
            reasons.append(
                Reason("shards", path, "The index and the file hold different tensors. Save the model again.")
            )
    return reasons


# --- recommenders and endpoints ---------------------------------------------------------------------


def _check_recommender(folder: Path, files: set[str], model: str) -> list[Reason]:
    if "ids.json" not in files:
        return [Reason("no_ids", "ids.json", f"The file is missing. {expected(Modality.RECOMMENDER)}")]
    ids = _load(folder / "ids.json")
    for kind in ("users", "items"):
        named = ids.get(kind) if isinstance(ids, dict) else None
        if (
            not isinstance(named, list)
            or not 0 < len(named) <= MAX_IDS
            or not all(type(one) in (str, int) for one in named)
            or len({str(one) for one in named}) != len(named)
        ):
            message = (
                f"“{kind}” must be a list of distinct names or numbers, in the order of the model's rows."
            )
            return [Reason("ids", "ids.json", message)]
    if model.endswith(".safetensors"):
        with (folder / model).open("rb") as file:
            held = safetensors.check(file, (folder / model).stat().st_size)
        if not held >= _FACTORS:
            return [Reason("factors", model, f"It lacks {' and '.join(sorted(_FACTORS - held))}.")]
    return []


def _check_endpoint(folder: Path, modality: Modality) -> list[Reason]:
    spec = endpoint.check((folder / "endpoint.json").read_bytes())
    if spec.protocol in KINDS[modality].protocols:
        return []
    message = (
        f"The protocol {spec.protocol} does not serve this kind of model; "
        f"{' and '.join(KINDS[modality].protocols)} can. Correct the protocol, or register it as what it is."
    )
    return [Reason("protocol", "endpoint.json", message)]


def _load(path: Path) -> Any:
    """JSON that has passed `check_file`."""
    return json_text.parse(path.read_bytes(), path.name)
