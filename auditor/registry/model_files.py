"""Reads one file of a model by its content, and says which format of model it is, if any."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from auditor.registry.formats import endpoint, json_text, onnx, safetensors, skops, trees
from auditor.registry.formats.fault import Fault
from auditor.registry.magic import HEAD, Content, sniff
from auditor.registry.model_folder import pickle
from auditor.registry.model_kinds import SAVE_TENSORS, expected
from auditor.registry.reasons import Reason
from evaluations.spec import Modality, ModelFormat

MAX_TEXT = 64 * 2**20

_TEXTS = {"vocab.txt", "merges.txt", "chat_template.jinja"}
_PROSE = re.compile(r"(?i)(readme|licen[cs]e|notice|model_?card)(\.(md|txt))?")
ENDPOINT = "endpoint.json"

Check = Callable[[BinaryIO, int, Content], ModelFormat | None]


def check_file(folder: Path, path: str, modality: Modality) -> ModelFormat | Reason | None:
    """The format that the file is a model in; None for what goes with one; a reason to refuse it."""
    descriptor = os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        content = sniff(file.read(HEAD))
        file.seek(0)
        if content is Content.PICKLE:
            return pickle(path, modality)
        if content in (Content.EXECUTABLE, Content.SCRIPT):
            return Reason("code", path, "This is a program, whatever its name says. Remove it.")
        check = _checker(path, content)
        if check is None:
            return Reason(
                "unknown_file", path, f"This file is not part of a known model format. {expected(modality)}"
            )
        try:
            return check(file, size, content)
        except Fault as fault:
            return Reason(fault.code, path, fault.message)


def _checker(path: str, content: Content) -> Check | None:
    name = path.rsplit("/", 1)[-1]
    if Path(name).suffix in _MODELS:
        return _MODELS[Path(name).suffix]
    if name == ENDPOINT:
        return _endpoint
    if name.endswith(".json"):
        return _json
    if name.endswith(".txt") and content is Content.LIGHTGBM:
        return _lightgbm
    return _text if name in _TEXTS or _PROSE.fullmatch(name) else None


def _safetensors(file: BinaryIO, size: int, content: Content) -> ModelFormat:
    if content is Content.ZIP:
        raise Fault("pickle", f"This is a zip archive, such as PyTorch makes. {SAVE_TENSORS}")
    safetensors.check(file, size)
    return ModelFormat.SAFETENSORS


def _onnx(file: BinaryIO, size: int, content: Content) -> ModelFormat:
    if not size:
        raise Fault("onnx", "The file is empty. Export the model again.")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        onnx.check(data)
    return ModelFormat.ONNX


def _skops(file: BinaryIO, size: int, content: Content) -> ModelFormat:
    if content is not Content.ZIP:
        raise Fault("skops", "This is not a skops file. Save the model again: skops.io.dump(model, path).")
    skops.check(file, size)
    return ModelFormat.SKOPS


def _json(file: BinaryIO, size: int, content: Content) -> ModelFormat | None:
    value = json_text.read(file, size)
    json_text.refuse_code(value)
    return trees.format_of(value)


def _endpoint(file: BinaryIO, size: int, content: Content) -> ModelFormat:
    endpoint.check(file.read(endpoint.MAX_BYTES + 1))
    return ModelFormat.ENDPOINT


def _lightgbm(file: BinaryIO, size: int, content: Content) -> ModelFormat:
    trees.check_lightgbm_text(_read_text(file, size))
    return ModelFormat.LIGHTGBM


def _text(file: BinaryIO, size: int, content: Content) -> None:
    _read_text(file, size)


def _read_text(file: BinaryIO, size: int) -> str:
    if size > MAX_TEXT:
        raise Fault("text_large", f"Text files have at most {MAX_TEXT // 2**20} MB. Leave this one out.")
    data = file.read()
    if b"\x00" in data:
        raise Fault("text", "This is a binary file under the name of a text. Remove it.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault("text", f"This is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error


_MODELS: dict[str, Check] = {".safetensors": _safetensors, ".onnx": _onnx, ".skops": _skops}
