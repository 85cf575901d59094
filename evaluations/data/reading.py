"""Reads the file of a data set into a table. The file is hostile until read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from evaluations.data import hugging_face, image_folders
from evaluations.spec import DataRef, EvaluationError, Modality, Role

NUMERIC = (Modality.TABULAR, Modality.TABULAR_REGRESSION)  # in a text column the word NA is a word


MAX_BYTES = 8 * 2**30  # of a folder's rows in memory
FOLDERS = ("huggingface", "images")


def folder_schema(path: Path, kind: str) -> pa.Schema:
    """The columns of a folder of format `kind`, in order."""
    return hugging_face.schema(path) if kind == "huggingface" else image_folders.schema(path)


def folder_tables(
    path: Path, kind: str, wanted: list[str] | None = None, split: str = ""
) -> Iterator[pa.Table]:
    """The rows of a folder of format `kind`, some at a time."""
    tables = hugging_face.tables if kind == "huggingface" else image_folders.tables
    return tables(path, wanted, split)


def read_table(ref: DataRef, modality: Modality) -> pa.Table:
    """The columns in use of the data set at `ref`."""
    path = Path(ref.path)
    if ref.format in FOLDERS:
        return _read_folder(path, ref)
    if not path.is_file():
        raise EvaluationError(
            "data_missing", f"The data set file {path.name!r} is not there. Upload it again."
        )
    if path.stat().st_size == 0:
        raise EvaluationError("data_empty", "The data set file is empty. Register one with at least one row.")
    wanted = [column for column, role in ref.roles.items() if role is not Role.IGNORE]
    try:
        if ref.format == "parquet":
            names = pa.parquet.read_schema(path).names
            table = pa.parquet.read_table(path, columns=[c for c in names if c in wanted] or None)
        elif ref.format == "csv":
            table = _read_csv(path, ref, modality)
        else:
            table = _read_jsonl(path)
        table.validate(full=True)
    except (pa.ArrowException, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise EvaluationError(
            "data_unreadable",
            f"The data set could not be read as {ref.format}: {str(error)[:300]}. Save it again in UTF-8.",
        ) from error
    if len(set(table.column_names)) != len(table.column_names):
        raise EvaluationError("column_duplicate", "Two columns have the same name. Rename one.")
    return table


def _read_folder(path: Path, ref: DataRef) -> pa.Table:
    wanted = [column for column, role in ref.roles.items() if role is not Role.IGNORE]
    tables: list[pa.Table] = []
    size = 0
    for table in folder_tables(path, ref.format, wanted or None):
        table.validate(full=True)
        tables.append(table)
        size += table.nbytes
        if size > MAX_BYTES:
            raise EvaluationError(
                "data_large", f"The data set holds more than {MAX_BYTES // 2**30} GB. Take a sample."
            )
    if not tables:
        raise EvaluationError("data_empty", "The data set has no rows. Register one with at least one row.")
    return pa.concat_tables(tables)


def _read_csv(path: Path, ref: DataRef, modality: Modality) -> pa.Table:
    exact = {
        column: pa.string() for column in [*ref.columns(Role.ID), *ref.columns(Role.TARGET)]
    }  # "007" stays "007"
    tabular = modality in NUMERIC
    return pa.csv.read_csv(
        path,
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types=exact, strings_can_be_null=tabular, **({} if tabular else {"null_values": []})
        ),
    )


def _read_jsonl(path: Path) -> pa.Table:
    records = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError(f"line {number} is not a JSON object")
            records.append(record)
    if not records:
        raise EvaluationError("data_empty", "The data set has no rows. Register one with at least one row.")
    names = dict.fromkeys(name for record in records for name in record)
    return pa.table({name: pa.array([record.get(name) for record in records]) for name in names})
