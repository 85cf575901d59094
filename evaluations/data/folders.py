"""The files of a folder, listed without following links: a link, pipe or device is refused, never opened."""

from __future__ import annotations

import csv
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluations.spec import EvaluationError

MAX_FILES = 1_000_000
MAX_DEPTH = 8
MAX_JSON = 64 * 2**20  # bytes of a file that describes others
SPLITS = frozenset(
    {"train", "training", "validation", "valid", "val", "dev", "test", "eval", "calibration", "ood"}
)


@dataclass(frozen=True)
class Found:
    """One file: its POSIX name below the folder, where it is, and its bytes."""

    name: str
    path: Path
    size: int

    @property
    def hidden(self) -> bool:
        return any(part.startswith(".") for part in self.name.split("/"))


def listed(folder: Path) -> list[Found]:
    """Every file below `folder`, in order of name. Raises EvaluationError where something is no plain file."""
    if not folder.is_dir():
        raise EvaluationError(
            "data_missing", f"There is no folder {folder.name!r}. Give the folder of the data set."
        )
    return sorted(_below(folder, ""), key=lambda found: found.name)


def _below(folder: Path, prefix: str, depth: int = 0, before: int = 0) -> list[Found]:
    if depth > MAX_DEPTH:
        raise EvaluationError(
            "folder_deep", f"{prefix[:80]!r} lies more than {MAX_DEPTH} folders deep. Flatten it."
        )
    files: list[Found] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name, status = f"{prefix}{entry.name}", entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                files += _below(Path(entry.path), f"{name}/", depth + 1, before + len(files))
            elif stat.S_ISREG(status.st_mode):
                files.append(Found(name, Path(entry.path), status.st_size))
            else:
                what = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "neither a file nor a folder"
                raise EvaluationError(
                    "file_special",
                    f"{name[:120]!r} is {what}. Replace links by what they mean: cp -rL FOLDER COPY.",
                )
            if before + len(files) > MAX_FILES:
                raise EvaluationError(
                    "files_many", f"The folder has more than {MAX_FILES:,} files. Take a sample."
                )
    return files


def content(found: Found, limit: int) -> bytes:
    """The bytes of a file that was listed, at most `limit` of them; a link put in its place is not followed."""
    with os.fdopen(os.open(found.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise EvaluationError(
            "file_large", f"{found.name!r} has more than {limit // 2**20} MB. Make it smaller."
        )
    return data


def json_object(found: Found) -> dict[str, Any]:
    """A file that holds one JSON object."""
    try:
        value = json.loads(content(found, MAX_JSON))
    except (ValueError, RecursionError) as error:
        raise unreadable(found.name, error) from error
    if not isinstance(value, dict):
        raise EvaluationError(
            "data_unreadable", f"{found.name!r} holds no JSON object. Save the data set again."
        )
    return value


def records(found: Found) -> list[dict[str, Any]]:
    """The rows of a .csv file (all texts) or a .jsonl file that describes others."""
    try:
        lines = content(found, MAX_JSON).decode("utf-8-sig").splitlines()
        if found.name.endswith(".csv"):
            return [dict(row) for row in csv.DictReader(lines, strict=True)]
        rows = [json.loads(line) for line in lines if line.strip()]
    except (ValueError, RecursionError, csv.Error) as error:
        raise unreadable(found.name, error) from error
    if not all(isinstance(row, dict) for row in rows):
        raise EvaluationError(
            "data_unreadable", f"A line of {found.name!r} is no JSON object. Write it again."
        )
    return rows


def unreadable(name: str, error: Exception) -> EvaluationError:
    return EvaluationError(
        "data_unreadable", f"{name[:120]!r} cannot be read: {str(error)[:200]}. Save the data set again."
    )
