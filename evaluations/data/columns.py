"""What a column may hold: ids, labels, texts, lists and numbers, with a message that names the row to mend."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from evaluations.spec import DataRef, EvaluationError, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ID = 200  # characters


def label_text(value: Any) -> str | None:
    """A label as text, so that 1, 1.0 and "1" are one label. None where it is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def text_of(value: Any) -> str | None:
    return label_text(value) or None  # an empty cell is a missing one


def distinct(column: pa.ChunkedArray) -> tuple[list[str | None], NDArray[np.int64]]:
    """Texts (None: missing), and which of them each row has. Each distinct value is turned into text once."""
    values = column.combine_chunks()
    try:
        encoded = values.dictionary_encode(null_encoding="encode")
    except pa.ArrowNotImplementedError:  # lists and other kinds that cannot be compared
        return [text_of(value) for value in values.to_pylist()], np.arange(len(values))
    return [text_of(value) for value in encoded.dictionary.to_pylist()], np.asarray(encoded.indices, np.int64)


def names_of(names: Iterable[Any], limit: int = 12) -> str:
    """Names for a message: quoted, each shortened, at most `limit`."""
    names = [repr(str(n)[:60]) for n in names]
    return (
        ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "") or "none"
    )


def plain(table: pa.Table) -> pa.Table:
    """Dictionary columns decoded; only plain values, bytes and lists of texts are taken."""
    for i, column in enumerate(table.schema):
        kind = column.type
        if pa.types.is_dictionary(kind):
            table = table.set_column(i, column.name, table.column(i).cast(kind.value_type))
        elif pa.types.is_nested(kind) and not _is_texts(kind) and not _is_image(kind):
            raise EvaluationError(
                "column_type",
                f"Column {column.name!r} holds {kind}, neither single values nor lists of texts. "
                "Flatten it, or give it the role 'ignore'.",
            )
    return table


def _is_texts(kind: pa.DataType) -> bool:
    """A list of texts or of whole numbers: words of a sentence, answers to choose from, tags."""
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(lists) and (
        pa.types.is_string(kind.value_type)
        or pa.types.is_large_string(kind.value_type)
        or pa.types.is_integer(kind.value_type)
        or pa.types.is_null(kind.value_type)
    )


def _is_image(kind: pa.DataType) -> bool:
    """What `datasets` calls an Image: the file's bytes and its path."""
    return pa.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}


def ids(table: pa.Table, ref: DataRef) -> NDArray[np.str_]:
    columns = ref.columns(Role.ID)
    if not columns:
        return np.array([str(i) for i in range(table.num_rows)])
    found = [text_of(value) for value in table.column(columns[0]).to_pylist()]
    if None in found:
        raise EvaluationError(
            "id_missing", f"Row {found.index(None) + 1} has no id. Fill column {columns[0]!r}."
        )
    texts = [i for i in found if i is not None]
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


def labels(table: pa.Table, ref: DataRef, ids: NDArray[np.str_]) -> NDArray[np.str_]:
    column = ref.columns(Role.TARGET)[0]
    kind = table.column(column).type
    if pa.types.is_nested(kind):
        raise EvaluationError(
            "column_type",
            f"Column {column!r} holds {kind}, but a label is a single value. Choose the label column.",
        )
    names, index = distinct(table.column(column))
    empty = np.flatnonzero(np.array([name is None for name in names], dtype=bool)[index])
    if len(empty):
        raise EvaluationError(
            "label_missing",
            f"{len(empty)} of {len(index)} rows have no label in column {column!r} (first: row {empty[0] + 1}, "
            f"id {str(ids[empty[0]])[:60]!r}). Label them or leave them out.",
        )
    return np.array(names, dtype=np.str_)[index]


LARGEST = 1e40  # the squares and cubes of what is larger are no finite numbers


def numbers(table: pa.Table, ref: DataRef, ids: NDArray[np.str_]) -> NDArray[np.float64]:
    """The target as numbers. Raises EvaluationError where one is missing or not finite."""
    column = ref.columns(Role.TARGET)[0]
    try:
        found = np.asarray(table.column(column).cast(pa.float64()).to_numpy(), dtype=np.float64)
    except pa.ArrowInvalid as error:
        raise EvaluationError(
            "target_not_number",
            f"Column {column!r} has the role 'target' and must hold numbers: {str(error)[:200]}.",
        ) from error
    bad = np.flatnonzero(~(np.abs(found) <= LARGEST))
    if len(bad):
        raise EvaluationError(
            "target_not_number",
            f"{len(bad)} of {len(found)} rows have no number up to {LARGEST:g} in column {column!r} (first: row "
            f"{bad[0] + 1}, id {str(ids[bad[0]])[:60]!r}). Fill them or leave them out.",
        )
    return found


def texts(table: pa.Table, column: str, ids: NDArray[np.str_]) -> list[str]:
    """A text column without gaps. Raises EvaluationError that names the first row at fault."""
    values = table.column(column)
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise EvaluationError(
            "text_expected",
            f"Column {column!r} holds {values.type}, but this model reads text. Choose the text column, "
            "or a tabular model.",
        )
    _no_gaps(values, column, ids, "text")
    return [str(text) for text in values.to_pylist()]


def lists(table: pa.Table, column: str, ids: NDArray[np.str_]) -> list[tuple[str, ...]]:
    """A column of lists of texts without gaps; a single value counts as a list of one."""
    values = table.column(column)
    _no_gaps(values, column, ids, "value")
    listed = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
    found = [
        tuple(label_text(one) or "" for one in (value if listed else [value])) for value in values.to_pylist()
    ]
    if () in found:
        row = found.index(())
        raise EvaluationError(
            "list_empty",
            f"Row {row + 1} (id {str(ids[row])[:60]!r}) has an empty list in column {column!r}. "
            "Fill it or leave the row out.",
        )
    return found


def _no_gaps(values: pa.ChunkedArray, column: str, ids: NDArray[np.str_], what: str) -> None:
    if values.null_count:
        first = values.is_null().to_pylist().index(True)
        raise EvaluationError(
            "text_missing",
            f"{values.null_count} rows have no {what} in {column!r} (first: row {first + 1}, id "
            f"{str(ids[first])[:60]!r}). Fill them or leave them out.",
        )
