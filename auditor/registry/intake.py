"""Decides whether a folder of model files is accepted, before anything loads them. Pure; standard library only."""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from auditor.registry import names
from auditor.registry.formats import json_text, onnx, safetensors, skops
from auditor.registry.formats.fault import Fault
from auditor.registry.magic import HEAD, Content, sniff
from evaluations.spec import Modality, ModelFormat

MAX_FILES = 200
MAX_BYTES = 20 * 2**30
MAX_TEXT = 64 * 2**20
MAX_REASONS = 50

_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_INDEX = "model.safetensors.index.json"
_TEXTS = {"vocab.txt", "merges.txt"}
_PROSE = re.compile(r"(?i)(readme|licen[cs]e|notice|model_?card)(\.(md|txt))?")
_CODE = (
    ".py",
    ".pyc",
    ".pyo",
    ".pyd",
    ".so",
    ".dll",
    ".dylib",
    ".sh",
    ".bat",
    ".ps1",
    ".exe",
    ".jar",
    ".ipynb",
)
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".dill", ".npz")
_CONVERT = {
    Modality.TEXT_CLASSIFIER: "Convert it with safetensors: model.save_pretrained(folder, safe_serialization=True).",
    Modality.TABULAR: "Save the model with skops.io.dump(model, 'model.skops'), or export it to ONNX.",
}


@dataclass(frozen=True)
class Reason:
    """Why a folder is refused. `code` is stable; `path` is relative, "" for the whole folder."""

    code: str
    path: str
    message: str


@dataclass(frozen=True)
class Accepted:
    """A folder that may be stored. `files` are relative POSIX paths, `size` is their total in bytes."""

    format: ModelFormat
    files: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Refused:
    reasons: tuple[Reason, ...]


def inspect_model(folder: Path, modality: Modality | str) -> Accepted | Refused:
    """Whether `folder` holds exactly one model of a kind that `modality` can be.

    Every file is read by its content; all reasons to refuse are given together (50 at most).
    """
    modality = Modality(modality)
    reasons: list[Reason] = []
    files = _list_files(folder, modality, reasons)
    if not reasons:
        for path in files:
            _check_file(folder, path, modality, reasons)
    if not reasons:
        _check_set(folder, set(files), modality, reasons)
    if reasons:
        return Refused(tuple(reasons[:MAX_REASONS]))
    kinds = {p.suffix: ModelFormat(p.suffix[1:]) for p in map(Path, files) if p.suffix in _MODELS}
    return Accepted(next(iter(kinds.values())), tuple(sorted(files)), sum(files.values()))


# --- the folder ---------------------------------------------------------------------------


def _list_files(folder: Path, modality: Modality, reasons: list[Reason]) -> dict[str, int]:
    """Path -> size of each regular file; reasons for whatever else is there."""
    if not folder.is_dir():
        reasons.append(
            Reason("missing", "", f"There is no folder {str(folder)!r}. Give the folder of the model.")
        )
        return {}
    files: dict[str, int] = {}
    for path, status in _entries(folder, ""):
        if len(files) >= MAX_FILES or len(reasons) >= MAX_REASONS:
            reasons.append(
                Reason("too_many_files", "", f"A model has at most {MAX_FILES} files. Remove the others.")
            )
            return files
        fault = names.fault(path)
        if stat.S_ISLNK(status.st_mode):
            message = "This is a symbolic link. Replace links by what they point at: cp -rL folder copy."
            reasons.append(Reason("symlink", path, message))
        elif not stat.S_ISREG(status.st_mode):
            reasons.append(
                Reason("special_file", path, "This is no regular file (a device, pipe or socket). Remove it.")
            )
        elif path.lower().endswith(_CODE):
            reasons.append(
                Reason(
                    "code",
                    path,
                    "Code is not accepted; models are loaded by trusted libraries only. Remove it.",
                )
            )
        elif path.lower().endswith(_PICKLES):
            reasons.append(_pickle(path, modality))
        elif fault:
            reasons.append(Reason("name", path, fault))
        else:
            files[path] = status.st_size
    for path in names.clashes(files):
        reasons.append(
            Reason("name_clash", path, "Another file has the same name but for case. Rename one of them.")
        )
    if sum(files.values()) > MAX_BYTES:
        reasons.append(
            Reason("too_large", "", f"A model has at most {MAX_BYTES // 2**30} GiB. Use a smaller one.")
        )
    if not files and not reasons:
        reasons.append(
            Reason("empty", "", "The folder is empty. Give the folder that the model was saved to.")
        )
    return files


def _entries(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below `folder` but folders, in order, links not followed."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{prefix}{entry.name}"
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            if names.fault(path):  # too deep, hidden or ill-named: not entered
                yield path, status
            else:
                yield from _entries(folder / entry.name, f"{path}/")
        else:
            yield path, status


# --- one file -------------------------------------------------------------------------------


def _check_file(folder: Path, path: str, modality: Modality, reasons: list[Reason]) -> None:
    descriptor = os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        content = sniff(file.read(HEAD))
        file.seek(0)
        if content is Content.PICKLE:
            reasons.append(_pickle(path, modality))
            return
        if content in (Content.EXECUTABLE, Content.SCRIPT):
            reasons.append(Reason("code", path, "This is a program, whatever its name says. Remove it."))
            return
        check = _checker(path)
        if check is None:
            reasons.append(
                Reason(
                    "unknown_file",
                    path,
                    f"This file is not part of a known model format. {_expected(modality)}",
                )
            )
            return
        try:
            check(file, size, content)
        except Fault as fault:
            reasons.append(Reason(fault.code, path, fault.message))


def _checker(path: str) -> Callable[[BinaryIO, int, Content], None] | None:
    name = path.rsplit("/", 1)[-1]
    if Path(name).suffix in _MODELS:
        return _MODELS[Path(name).suffix]
    if name.endswith(".json"):
        return _json
    return _text if name in _TEXTS or _PROSE.fullmatch(name) else None


def _safetensors(file: BinaryIO, size: int, content: Content) -> None:
    if content is Content.ZIP:
        raise Fault(
            "pickle", f"This is a zip archive, such as PyTorch makes. {_CONVERT[Modality.TEXT_CLASSIFIER]}"
        )
    safetensors.check(file, size)


def _onnx(file: BinaryIO, size: int, content: Content) -> None:
    if not size:
        raise Fault("onnx", "The file is empty. Export the model again.")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        onnx.check(data)


def _skops(file: BinaryIO, size: int, content: Content) -> None:
    if content is not Content.ZIP:
        raise Fault("skops", "This is not a skops file. Save the model again: skops.io.dump(model, path).")
    skops.check(file, size)


def _json(file: BinaryIO, size: int, content: Content) -> None:
    json_text.refuse_code(_read_json(file, size))


def _read_json(file: BinaryIO, size: int) -> Any:
    if size > json_text.MAX_BYTES:
        raise Fault(
            "json_large", f"JSON files have at most {json_text.MAX_BYTES // 2**20} MB. Leave this one out."
        )
    return json_text.parse(file.read(), "The file")


def _text(file: BinaryIO, size: int, content: Content) -> None:
    if size > MAX_TEXT:
        raise Fault("text_large", f"Text files have at most {MAX_TEXT // 2**20} MB. Leave this one out.")
    data = file.read()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault("text", f"This is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    if b"\x00" in data:
        raise Fault("text", "This is a binary file under the name of a text. Remove it.")


_MODELS: dict[str, Callable[[BinaryIO, int, Content], None]] = {
    ".safetensors": _safetensors,
    ".onnx": _onnx,
    ".skops": _skops,
}


# --- the files together -----------------------------------------------------------------------


def _check_set(folder: Path, files: set[str], modality: Modality, reasons: list[Reason]) -> None:
    models = sorted(path for path in files if Path(path).suffix in _MODELS)
    kinds = {Path(path).suffix for path in models}
    wanted = {".safetensors"} if modality is Modality.TEXT_CLASSIFIER else {".onnx", ".skops"}
    if not models:
        reasons.append(Reason("no_model", "", f"The folder holds no model. {_expected(modality)}"))
    elif len(kinds) > 1:
        reasons.append(
            Reason("many_models", "", f"The folder holds several models: {', '.join(models[:5])}. Keep one.")
        )
    elif not kinds <= wanted:
        reasons.append(
            Reason("wrong_format", models[0], f"The model is registered as {modality}. {_expected(modality)}")
        )
    elif modality is Modality.TEXT_CLASSIFIER:
        _check_hugging_face(folder, files, models, reasons)
    elif len(models) > 1:
        reasons.append(
            Reason("many_models", "", f"The folder holds several models: {', '.join(models[:5])}. Keep one.")
        )
    elif "/" in models[0]:
        reasons.append(Reason("no_model", models[0], "The model lies in a folder below. Move it to the top."))


def _check_hugging_face(folder: Path, files: set[str], models: list[str], reasons: list[Reason]) -> None:
    if "config.json" not in files:
        reasons.append(
            Reason("no_config", "config.json", f"The file is missing. {_expected(Modality.TEXT_CLASSIFIER)}")
        )
    else:
        _check_config(folder, reasons)
    if not {"tokenizer.json", "vocab.txt"} & files and not {"vocab.json", "merges.txt"} <= files:
        message = "The tokenizer is missing. Save it beside the model: tokenizer.save_pretrained(folder)."
        reasons.append(Reason("no_tokenizer", "tokenizer.json", message))
    if _INDEX in files:
        _check_shards(folder, models, reasons)
    elif models != ["model.safetensors"]:
        message = f"Exactly one model.safetensors is needed, or shards with {_INDEX}. Save the model again."
        reasons.append(Reason("no_model", "model.safetensors", message))


def _check_config(folder: Path, reasons: list[Reason]) -> None:
    config = _load(folder / "config.json")
    kinds = config.get("architectures") if isinstance(config, dict) else None
    if not isinstance(kinds, list) or not any(str(k).endswith("ForSequenceClassification") for k in kinds):
        message = (
            "The configuration names no …ForSequenceClassification architecture, so this is no text classifier. "
            "Save it from AutoModelForSequenceClassification."
        )
        reasons.append(Reason("not_a_classifier", "config.json", message))


def _check_shards(folder: Path, models: list[str], reasons: list[Reason]) -> None:
    """The index and the shards must name each other: nothing outside the folder, nothing left over."""
    index = _load(folder / _INDEX)
    table = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(table, dict) or not all(
        isinstance(v, str) and _SHARD.fullmatch(v) for v in table.values()
    ):
        message = (
            "The index names files other than model-00001-of-….safetensors beside it. Save the model again."
        )
        reasons.append(Reason("index", _INDEX, message))
        return
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


def _load(path: Path) -> Any:
    """JSON that has passed `_check_file`."""
    return json_text.parse(path.read_bytes(), path.name)


def _pickle(path: str, modality: Modality) -> Reason:
    return Reason("pickle", path, f"Pickled files can run code when they are loaded. {_CONVERT[modality]}")


def _expected(modality: Modality) -> str:
    if modality is Modality.TEXT_CLASSIFIER:
        return (
            "A text classifier is a Hugging Face folder: config.json, model.safetensors and the tokenizer's files "
            "(tokenizer.json, tokenizer_config.json, vocab.txt, …)."
        )
    return "A tabular model is one .skops or one .onnx file, with README and LICENSE if you like."
