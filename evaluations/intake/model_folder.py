"""The files of a folder, before one of them is opened: names, links, sizes."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from evaluations.intake import names
from evaluations.intake.model_kinds import KINDS
from evaluations.intake.reasons import Reason
from evaluations.spec import Modality

MAX_FILES = 200
MAX_BYTES = 20 * 2**30
MAX_REASONS = 50
# Texts and configurations are read whole, and each template is tried: both take seconds apiece.
MAX_CONFIGURATIONS = 40
MAX_TEXTS = 256 * 2**20  # bytes together
_CONFIGURATIONS = (".json", ".jinja")
_TEXTS = (*_CONFIGURATIONS, ".txt", ".md")

_CODE = (
    *(
        ".py",
        ".pyc",
        ".pyo",
        ".pyd",
        ".pyw",
        ".pyi",
        ".pyx",
        ".pyz",
        ".whl",
        ".egg",
        ".ipynb",
        ".js",
        ".html",
    ),
    *(".so", ".dll", ".dylib", ".sh", ".bat", ".cmd", ".ps1", ".exe", ".jar", ".class", ".wasm"),
)
_PICKLES = (
    *(".pkl", ".pickle", ".pk", ".p", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".dill", ".sav"),
    *(".npy", ".npz", ".pkl.gz", ".mar", ".nemo"),
)
# What Python would import in place of the library, were the folder on its path.
_OURS = (
    *(
        "auditor",
        "evaluations",
        "workers",
        "django",
        "celery",
        "numpy",
        "pandas",
        "scipy",
        "sklearn",
        "skops",
    ),
    *(
        "torch",
        "transformers",
        "tokenizers",
        "safetensors",
        "huggingface_hub",
        "accelerate",
        "jinja2",
        "pydantic",
    ),
    *(
        "onnx",
        "onnxruntime",
        "xgboost",
        "lightgbm",
        "pyarrow",
        "yaml",
        "PIL",
        "sitecustomize",
        "usercustomize",
    ),
    *("__init__", "__main__", "conftest", "setup"),
)
_SHADOWS = frozenset(name.casefold() for name in (*sys.stdlib_module_names, *_OURS))


def list_files(folder: Path, modality: Modality, reasons: list[Reason]) -> dict[str, int]:
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
        reason = _fault(path, status, modality)
        if reason is None:
            files[path] = status.st_size
        else:
            reasons.append(reason)
    for path in names.clashes(files):
        reasons.append(
            Reason("name_clash", path, "Another file has the same name but for case. Rename one of them.")
        )
    if sum(files.values()) > MAX_BYTES:
        reasons.append(
            Reason("too_large", "", f"A model has at most {MAX_BYTES // 2**30} GiB. Use a smaller one.")
        )
    if sum(path.endswith(_CONFIGURATIONS) for path in files) > MAX_CONFIGURATIONS:
        message = f"A model has at most {MAX_CONFIGURATIONS} JSON files and templates. Remove the others."
        reasons.append(Reason("too_many_files", "", message))
    if sum(size for path, size in files.items() if path.endswith(_TEXTS)) > MAX_TEXTS:
        message = (
            f"The texts and JSON files of a model have at most {MAX_TEXTS >> 20} MB together. Leave some out."
        )
        reasons.append(Reason("text_large", "", message))
    if not files and not reasons:
        reasons.append(
            Reason("empty", "", "The folder is empty. Give the folder that the model was saved to.")
        )
    return files


def _fault(path: str, status: os.stat_result, modality: Modality) -> Reason | None:
    if stat.S_ISLNK(status.st_mode):
        message = "This is a symbolic link. Replace links by what they point at: cp -rL folder copy."
        return Reason("symlink", path, message)
    if stat.S_ISDIR(status.st_mode):  # one that is not entered: too deep, hidden or ill-named
        return Reason("name", path, names.fault(path) or "")
    if not stat.S_ISREG(status.st_mode):
        return Reason("special_file", path, "This is no regular file (a device, pipe or socket). Remove it.")
    if shadowed := _shadowed(path):
        message = f"Python would load this in place of its own {shadowed!r}. Remove it."
        return Reason("shadow", path, message)
    if path.lower().endswith(_CODE):
        return Reason(
            "code", path, "Code is not accepted; models are loaded by trusted libraries only. Remove it."
        )
    if path.lower().endswith(_PICKLES):
        return pickle(path, modality)
    fault = names.fault(path)
    return Reason("name", path, fault) if fault else None


def _shadowed(path: str) -> str:
    """The module that a path would stand in for: a folder of its name, or a file of code."""
    *folders, name = path.casefold().split("/")
    stem = name.split(".")[0]
    if name.endswith(_CODE) and stem in _SHADOWS:
        return stem
    return next((part for part in folders if part in _SHADOWS), "")


def pickle(path: str, modality: Modality) -> Reason:
    return Reason("pickle", path, f"Pickled files can run code when they are loaded. {KINDS[modality].save}")


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
