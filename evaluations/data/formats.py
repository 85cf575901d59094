"""Which format a data set on disk has, and what its columns are called: before any role is given."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Literal

from evaluations.data import folders
from evaluations.spec import EvaluationError

Format = Literal["parquet", "csv", "jsonl", "huggingface", "images"]
FILES: tuple[Literal["parquet", "csv", "jsonl"], ...] = ("parquet", "csv", "jsonl")


def format_of(path: Path) -> Format:
    """The format that a file has by its name, a folder by the files in it. Raises EvaluationError `data_format`."""
    if path.is_dir():
        names = {found.name for found in folders.listed(path) if not found.hidden}
        saved = {"state.json", "dataset_dict.json"} & names
        return "huggingface" if saved or any(name.endswith(".parquet") for name in names) else "images"
    for name in FILES:
        if path.name.lower().endswith(f".{name}"):
            return name
    raise EvaluationError(
        "data_format",
        f"{path.name} is no data set: give a .parquet, .csv or .jsonl file, a folder that `datasets` saved, or a "
        "folder of images.",
    )


def column_names(path: Path) -> list[str]:
    """The columns of a data set, in order. Raises EvaluationError where there is none, or it cannot be read."""
    kind = format_of(path)
    try:
        if kind == "parquet":
            import pyarrow.parquet

            return [str(name) for name in pyarrow.parquet.read_schema(path).names]
        if kind in ("huggingface", "images"):
            from evaluations.data import reading

            return list(reading.folder_schema(path, kind).names)
        with path.open(encoding="utf-8-sig", newline="") as lines:
            if kind == "csv":
                return next(csv.reader(lines), [])
            first = json.loads(next(line for line in lines if line.strip()))
            return list(first) if isinstance(first, dict) else []
    except (OSError, ValueError, StopIteration, csv.Error) as error:
        raise EvaluationError(
            "data_unreadable",
            f"The columns of {path.name} cannot be read: {str(error)[:200]}. Save it again.",
        ) from error
