"""Reads one data set file with its column roles. The file is hostile until read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from evaluations.spec import DataRef, EvaluationError, Modality, Role

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

MISSING_GROUP = "(missing)"
MAX_ID = 200  # characters


@dataclass(frozen=True)
class Dataset:
    """Rows with an id and a label each. `table` holds every column that has a role in use."""

    ref: DataRef
    modality: Modality
    ids: NDArray[np.str_]
    truth: NDArray[np.str_]
    table: pa.Table

    @property
    def rows(self) -> int:
        return len(self.ids)

    def inputs(self, rows: NDArray[np.int64], columns: tuple[str, ...] | None) -> list[str] | pd.DataFrame:
        """What the model is fed: texts, or a frame of the `columns` it names (None: all input columns)."""
        offered = self.ref.columns(Role.INPUT)
        if self.modality is Modality.TEXT_CLASSIFIER:
            return [str(text) for text in self.table.column(offered[0]).take(rows).to_pylist()]
        if columns is None:
            columns = tuple(offered)
        # A model may have been trained on a sensitive column; it never sees target, id or ignored ones.
        usable = {*offered, *self.ref.columns(Role.SENSITIVE)}
        absent = [column for column in columns if column not in usable]
        if absent:
            raise EvaluationError(
                "model_columns",
                f"The model needs the columns {_list(absent)}, which are not input columns of the data set "
                f"(input columns: {_list(offered)}). Give them the role 'input', or choose the right data set.",
            )
        return self.table.select(list(columns)).take(rows).to_pandas()

    def groups(self, column: str) -> NDArray[np.str_]:
        """The group of each row in a sensitive column; missing values are a group of their own."""
        return np.array(
            [MISSING_GROUP if g is None else g for g in map(_text_of, self.table.column(column).to_pylist())]
        )

    def class_indices(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Row labels as indices into the model's `labels`. Raises `labels_unmatched`, naming both sets."""
        index = {label: i for i, label in enumerate(labels)}
        unknown = sorted({str(t) for t in np.unique(self.truth)} - index.keys())
        if unknown:
            raise EvaluationError(
                "labels_unmatched",
                f"The data set has the labels {_list(sorted(set(self.truth.tolist())))}, the model has "
                f"{_list(labels)}: {_list(unknown)} cannot be matched. Register the model with its class names "
                "in output order, or correct the label column.",
            )
        return np.array([index[t] for t in self.truth], dtype=np.int64)


def read(ref: DataRef, modality: Modality) -> Dataset:
    """The data set at `ref`. Raises EvaluationError that says which column or row to mend."""
    table = _read_table(ref, modality)
    missing = [
        column
        for column, role in ref.roles.items()
        if role is not Role.IGNORE and column not in table.column_names
    ]
    if missing:
        raise EvaluationError(
            "column_missing",
            f"The data set has no column {_list(missing)}. Its columns are {_list(table.column_names)}. "
            "Correct the column roles.",
        )
    _check_roles(ref)
    if table.num_rows == 0:
        raise EvaluationError("data_empty", "The data set has no rows. Register one with at least one row.")
    table = _plain_columns(table)
    ids = _ids(table, ref)
    if modality is Modality.TEXT_CLASSIFIER:
        _check_text(table, ref, ids)
    return Dataset(ref=ref, modality=modality, ids=ids, truth=_truth(table, ref, ids), table=table)


def label_text(value: Any) -> str | None:
    """A label as text, so that 1, 1.0 and "1" are one label. None where it is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _text_of(value: Any) -> str | None:
    return label_text(value) or None  # an empty cell is a missing one


def _list(names: Iterable[Any], limit: int = 12) -> str:
    """Names for a message: quoted, each shortened, at most `limit`."""
    names = [repr(str(n)[:60]) for n in names]
    return (
        ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "") or "none"
    )


def _check_roles(ref: DataRef) -> None:
    targets, inputs = ref.columns(Role.TARGET), ref.columns(Role.INPUT)
    if len(targets) != 1:
        raise EvaluationError(
            "target_missing" if not targets else "target_many",
            f"Exactly one column must have the role 'target' (the true label); found {_list(targets)}.",
        )
    if not inputs:
        raise EvaluationError("input_missing", "No column has the role 'input'. Mark what the model is fed.")
    if len(ref.columns(Role.ID)) > 1:
        raise EvaluationError("id_many", "At most one column may have the role 'id'.")


def _read_table(ref: DataRef, modality: Modality) -> pa.Table:
    path = Path(ref.path)
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


def _read_csv(path: Path, ref: DataRef, modality: Modality) -> pa.Table:
    exact = {
        column: pa.string() for column in [*ref.columns(Role.ID), *ref.columns(Role.TARGET)]
    }  # "007" stays "007"
    tabular = modality is Modality.TABULAR  # in a text column the word NA is a word
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


def _plain_columns(table: pa.Table) -> pa.Table:
    """Dictionary columns decoded; lists, structs and the like refused."""
    for i, column in enumerate(table.schema):
        kind = column.type
        if pa.types.is_dictionary(kind):
            table = table.set_column(i, column.name, table.column(i).cast(kind.value_type))
        elif pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise EvaluationError(
                "column_type",
                f"Column {column.name!r} holds {kind}, not single values. Flatten it, or give it the role 'ignore'.",
            )
    return table


def _ids(table: pa.Table, ref: DataRef) -> NDArray[np.str_]:
    columns = ref.columns(Role.ID)
    if not columns:
        return np.array([str(i) for i in range(table.num_rows)])
    ids = [_text_of(value) for value in table.column(columns[0]).to_pylist()]
    if None in ids:
        raise EvaluationError(
            "id_missing", f"Row {ids.index(None) + 1} has no id. Fill column {columns[0]!r}."
        )
    texts = [i for i in ids if i is not None]
    if max(map(len, texts)) > MAX_ID:
        raise EvaluationError(
            "id_long", f"An id is longer than {MAX_ID} characters. Shorten column {columns[0]!r}."
        )
    if len(set(texts)) != len(texts):
        seen: set[str] = set()
        twice = next(i for i in texts if i in seen or seen.add(i))  # type: ignore[func-returns-value]  # add returns None
        raise EvaluationError(
            "id_duplicate", f"The id {twice[:60]!r} occurs twice. Make column {columns[0]!r} unique."
        )
    return np.array(texts)


def _truth(table: pa.Table, ref: DataRef, ids: NDArray[np.str_]) -> NDArray[np.str_]:
    column = ref.columns(Role.TARGET)[0]
    labels = [_text_of(value) for value in table.column(column).to_pylist()]
    empty = [i for i, label in enumerate(labels) if label is None]
    if empty:
        raise EvaluationError(
            "label_missing",
            f"{len(empty)} of {len(labels)} rows have no label in column {column!r} (first: row {empty[0] + 1}, "
            f"id {str(ids[empty[0]])[:60]!r}). Label them or leave them out.",
        )
    return np.array(labels, dtype=np.str_)


def _check_text(table: pa.Table, ref: DataRef, ids: NDArray[np.str_]) -> None:
    inputs = ref.columns(Role.INPUT)
    if len(inputs) != 1:
        raise EvaluationError(
            "text_columns", f"A text model reads one input column; {_list(inputs)} have that role. Keep one."
        )
    column = table.column(inputs[0])
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise EvaluationError(
            "text_expected",
            f"Column {inputs[0]!r} holds {column.type}, but this model reads text. Choose the text column as input, "
            "or a tabular model.",
        )
    if column.null_count:
        first = column.is_null().to_pylist().index(True)
        raise EvaluationError(
            "text_missing",
            f"{column.null_count} rows have no text in {inputs[0]!r} (first: row {first + 1}, id "
            f"{str(ids[first])[:60]!r}). "
            "Fill them or leave them out.",
        )
