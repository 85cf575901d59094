"""Reads one file of a model by its content, and says which format of model it is, if any."""

from __future__ import annotations

import mmap
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from evaluations.intake import model_texts
from evaluations.intake.formats import endpoint, lightgbm_text, onnx, safetensors, skops, trees, zip_directory
from evaluations.intake.formats.fault import Fault
from evaluations.intake.magic import HEAD, TAIL, Content, ends_as_zip, sniff
from evaluations.intake.model_folder import pickle
from evaluations.intake.model_kinds import SAVE_TENSORS, expected
from evaluations.intake.reasons import Reason
from evaluations.spec import Modality, ModelFormat

_TEXTS = {"vocab.txt", "merges.txt"}
_PROSE = re.compile(r"(?i)(readme|licen[cs]e|notice|model_?card)(\.(md|txt))?")
_PACKED = (Content.COMPRESSED, Content.HDF5, Content.NUMPY, Content.PARQUET)
ENDPOINT = "endpoint.json"
MAX_MEMBERS = 20_000

Check = Callable[[BinaryIO, int, str], ModelFormat | None]


def check_file(folder: Path, path: str, modality: Modality) -> ModelFormat | Reason | None:
    """The format that the file is a model in; None for what goes with one; a reason to refuse it."""
    try:
        # O_NONBLOCK: what has become a pipe since it was listed is not waited for
        descriptor = os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return Reason("unreadable", path, "The file may not be read. Give yourself the right: chmod u+r.")
    with os.fdopen(descriptor, "rb") as file:
        size = os.fstat(descriptor).st_size
        content = sniff(file.read(HEAD))
        if content is Content.PICKLE:
            return pickle(path, modality)
        if content in (Content.EXECUTABLE, Content.SCRIPT):
            return Reason("code", path, "This is a program, whatever its name says. Remove it.")
        try:
            if content in _PACKED:
                raise Fault("archive", f"This is {content} data under the name of something else. Remove it.")
            _refuse_archives(file, path, content)
            check = _checker(path, content)
            if check is None:
                message = f"This file is not part of a known model format. {expected(modality)}"
                return Reason("unknown_file", path, message)
            file.seek(0)
            return check(file, size, path.rsplit("/", 1)[-1])
        except Fault as fault:
            if fault.code == "pickle" and not fault.message:
                return pickle(path, modality)
            return Reason(fault.code, path, fault.message)


def _refuse_archives(file: BinaryIO, path: str, content: Content) -> None:
    """Zip archives are skops files, or none of a model's: PyTorch's hold pickles, and others hide in the tail."""
    if Path(path).suffix == ".skops":
        return
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
    if content is not Content.ZIP and not ends_as_zip(file.read(TAIL)):
        return
    if _holds_pickles(file):
        raise Fault("pickle", f"This is a zip archive with pickles, such as PyTorch makes. {SAVE_TENSORS}")
    where = (
        "under the name of something else"
        if content is Content.ZIP
        else "hidden at the end of something else"
    )
    raise Fault("archive", f"This is a zip archive {where}. Save the model again with its own library.")


def _holds_pickles(file: BinaryIO) -> bool:
    if not zip_directory.is_small(file):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            return any(
                member.filename.lower().endswith((".pkl", ".pickle"))
                for member in archive.infolist()[:MAX_MEMBERS]
            )
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return False  # it cannot be listed, and is refused all the same: this only chooses the reason


def _checker(path: str, content: Content) -> Check | None:
    name = path.rsplit("/", 1)[-1]
    if Path(name).suffix in _MODELS:
        return _MODELS[Path(name).suffix]
    if name == ENDPOINT:
        return _endpoint
    if name.endswith(".json"):
        return _json
    if name.endswith(".jinja"):
        return _template if name == "chat_template.jinja" or "additional_chat_templates/" in path else None
    if name.endswith(".txt") and content is Content.LIGHTGBM:
        return _lightgbm
    return _text if name in _TEXTS or _PROSE.fullmatch(name) else None


def _safetensors(file: BinaryIO, size: int, name: str) -> ModelFormat:
    safetensors.check(file, size)
    return ModelFormat.SAFETENSORS


def _onnx(file: BinaryIO, size: int, name: str) -> ModelFormat:
    if not size:
        raise Fault("onnx", "The file is empty. Export the model again.")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        onnx.check(data)
    return ModelFormat.ONNX


def _skops(file: BinaryIO, size: int, name: str) -> ModelFormat:
    if sniff(file.read(HEAD)) is not Content.ZIP:
        raise Fault("skops", "This is not a skops file. Save the model again: skops.io.dump(model, path).")
    skops.check(file)
    return ModelFormat.SKOPS


def _json(file: BinaryIO, size: int, name: str) -> ModelFormat | None:
    return trees.format_of(model_texts.read_json(file, size, name))


def _endpoint(file: BinaryIO, size: int, name: str) -> ModelFormat:
    data = file.read(endpoint.MAX_BYTES + 1)
    endpoint.check(data)
    model_texts.refuse_secrets(data)
    return ModelFormat.ENDPOINT


def _lightgbm(file: BinaryIO, size: int, name: str) -> ModelFormat:
    lightgbm_text.check(model_texts.read(file, size))
    return ModelFormat.LIGHTGBM


def _template(file: BinaryIO, size: int, name: str) -> None:
    model_texts.check_templates([model_texts.read(file, size)])


def _text(file: BinaryIO, size: int, name: str) -> None:
    model_texts.read(file, size)


_MODELS: dict[str, Check] = {".safetensors": _safetensors, ".onnx": _onnx, ".skops": _skops}
