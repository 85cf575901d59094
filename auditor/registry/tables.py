"""Reads a data set's file once, as a stream: counts rows, classes and groups, and refuses what cannot be audited."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor.core.errors import DomainError, Problem
from auditor.registry import coded_columns
from evaluations.data.coded_columns import NOTHING
from evaluations.data.coded_columns import code as code_of
from evaluations.intake.magic import HEAD, Content, sniff
from evaluations.spec import Role

MAX_ROWS = 50_000_000
MAX_COLUMNS = 5_000
MAX_CLASSES = 1_000
MAX_GROUPS = 200
MAX_LABEL = 200  # characters
MAX_LINE = 16 * 2**20  # bytes of one JSON line
BATCH_ROWS = 16_384
BATCH_BYTES = 32 * 2**20  # of JSON lines, whose values are held until they are counted
SINGLE = (
    Role.TARGET,
    Role.ID,
    Role.CONTEXT,
    Role.CHOICES,
    Role.CLUSTER,
    Role.SPLIT,
    Role.USER,
    Role.ITEM,
    Role.ANSWER,
    *coded_columns.MEANING,
)
LISTED = (Role.INPUT, Role.TARGET, Role.CONTEXT, Role.CHOICES)  # what may hold lists of texts
MISSING_GROUP = "(missing)"
# What pyarrow reads as missing in a csv column that is not text.
_NULLS = {
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "N/A",
    "NA",
}
_NULLS |= {"NULL", "NaN", "n/a", "nan", "null"}


@dataclass(frozen=True)
class TableSummary:
    """`classes`: label -> rows. `groups`: column -> value -> rows, of sensitive and coded ones. Most frequent first.

    `classes` is empty where there is no target, or where it holds numbers, free text or lists of answers.
    """

    rows: int
    classes: dict[str, int]
    groups: dict[str, dict[str, int]]


def inspect_table(
    path: Path, format: str, roles: Mapping[str, str], favourable_label: str = ""
) -> TableSummary:
    """Summary of the parquet, csv or jsonl file at `path`. Raises DomainError naming what to mend."""
    target, sensitive = _check_roles(roles)
    _check_content(path, format)
    # A favourable label is one of a few: where it is given, the target must hold classes.
    targets = [
        _Target(column, strict=bool(favourable_label), roles=frozenset(roles.values())) for column in target
    ]
    counters = {column: Counter[str]() for column in sensitive}
    coded = [_Coded(column, Role(role)) for column, role in roles.items() if role in coded_columns.MEANING]
    wanted = [*target, *sensitive, *(one.column for one in coded)]
    rows = 0
    try:
        for size, values in _READERS[format](path, roles, wanted):
            rows += size
            if rows > MAX_ROWS:
                raise _refused("table_large", f"The table has more than {MAX_ROWS} rows. Take a sample.")
            for one in targets:
                one.count(values[one.column])
            for each in coded:
                each.count(values[each.column])
            for column, counter in counters.items():
                found = _labelled(values[column])
                counter.update(found)
                _few(counter, found, column, MAX_GROUPS)
    except DomainError:
        raise
    except (ValueError, OSError, IndexError, RecursionError) as error:  # pyarrow's errors are among them
        raise _refused(
            "table_unreadable",
            f"The file cannot be read as {format}: {str(error)[:200]}. Save it again as {format} in UTF-8.",
        ) from error
    if rows == 0:
        raise _refused("table_empty", "The table has no rows. Give one with at least one labelled example.")
    labels: Counter[str] = Counter()
    for one in targets:
        labels = one.classes(rows)
    if favourable_label and favourable_label not in labels:
        raise _refused(
            "favourable_label",
            f"The favourable label {favourable_label!r} is not among the labels of column {listed(target)}: "
            f"{listed(sorted(labels))}. Give one of these.",
            "/favourable_label",
        )
    return TableSummary(
        rows,
        dict(labels.most_common()),
        {c: dict(_spelled(counters[c], format).most_common()) for c in sensitive}
        | {one.column: dict(one.codes.most_common()) for one in coded if len(one.codes) <= MAX_GROUPS},
    )


class _Coded:
    """Counts the values of a column that have a fixed meaning, and refuses any other."""

    def __init__(self, column: str, role: Role) -> None:
        self.column, self.role = column, role
        self.codes: Counter[str] = Counter()

    def count(self, values: list[Any]) -> None:
        for value, rows in _labelled(values).items():
            code = MISSING_GROUP
            if value != MISSING_GROUP and value.lower() not in NOTHING:
                known = code_of(self.role, value)
                if known is None:
                    raise _refused(
                        "column_values",
                        f"Column {self.column!r} holds {value[:60]!r}. With the role {self.role.value!r} it holds "
                        f"{coded_columns.MEANING[self.role]}. Correct the column or its role.",
                        f"/roles/{_escaped(self.column)}",
                    )
                code = str(known)
            if code in self.codes or len(self.codes) <= MAX_GROUPS:
                self.codes[code] += rows


class _Target:
    """Counts the labels of the target until it shows that they are no classes; missing ones always."""

    def __init__(self, column: str, *, strict: bool, roles: frozenset[str]) -> None:
        self.column, self.strict = column, strict
        # of canaries it is the secret that was planted, which is no class; rows that are none have no target, like
        # those with an answer that people judged
        self.secret = Role.REPETITIONS in roles and not strict
        self.sparse = self.secret or (Role.HUMAN in roles and not strict)
        self.labels: Counter[str] | None = Counter()
        self.missing = 0

    def count(self, values: list[Any]) -> None:
        if any(isinstance(value, list) for value in values):
            if self.strict:
                raise _nested(self.column, "lists of answers")
            self.labels = None
            self.missing += sum(value is None or value == [] for value in values)
            return
        found = _labelled(values)
        self.missing += found.pop(MISSING_GROUP, 0)
        if self.labels is not None:
            self.labels.update(found)
            try:
                _few(self.labels, found, self.column, MAX_CLASSES)
            except DomainError:
                if self.strict:
                    raise
                self.labels = None

    def classes(self, rows: int) -> Counter[str]:
        """Rows per class. Raises DomainError where a label is missing."""
        if self.missing and not self.sparse:
            raise _refused(
                "label_missing",
                f"{self.missing} of {rows} rows have no label in column {self.column!r}. Label them or leave them out.",
            )
        if self.labels is None or self.secret or (_measured(self.labels) and not self.strict):
            return Counter()
        return self.labels


def _measured(labels: Counter[str]) -> bool:
    """Whether these are numbers with fractions, as a regression has them, and not names of classes."""
    try:
        return any(not float(label).is_integer() for label in labels)
    except (ValueError, OverflowError):
        return False


def listed(names: list[str], limit: int = 20) -> str:
    """Names for a message: quoted, each shortened, at most `limit`."""
    shown = ", ".join(repr(name[:60]) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _check_roles(roles: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The target column, if there is one, and the sensitive ones."""
    known = [role.value for role in Role]
    if wrong := sorted({role for role in roles.values() if role not in known}):
        raise _refused(
            "role_unknown", f"There is no role {listed(wrong)}. Roles are {', '.join(known)}.", "/roles"
        )
    by_role = {role: [c for c, r in roles.items() if r == role] for role in known}
    if not by_role[Role.INPUT] and not by_role[Role.USER]:
        raise _refused(
            "input_missing",
            "No column has the role 'input'. Mark the columns that the model reads.",
            "/roles",
        )
    for role in SINGLE:
        if len(by_role[role]) > 1:
            raise _refused(
                f"{role}_many",
                f"Only one column can have the role {role.value!r}; found {listed(by_role[role])}. Correct the roles.",
                "/roles",
            )
    return by_role[Role.TARGET], by_role[Role.SENSITIVE]


def _check_content(path: Path, format: str) -> None:
    if format not in _READERS:
        raise _refused(
            "table_format", f"Data sets are {', '.join(_READERS)} files; {format[:20]!r} is not. Convert it."
        )
    with path.open("rb") as file:
        content = sniff(file.read(HEAD))
    if (content is Content.PARQUET) != (format == "parquet") or content not in (
        Content.PARQUET,
        Content.UNKNOWN,
    ):
        raise _refused(
            "table_format",
            f"The file is no {format} file{'' if content is Content.UNKNOWN else f', but {content.value}'}. "
            "Save the table as parquet, csv or jsonl, under the matching ending.",
        )


def _check_columns(columns: list[str], roles: Mapping[str, str]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise _refused("columns_many", f"The table has more than {MAX_COLUMNS} columns. Leave some out.")
    if len(set(columns)) != len(columns):
        twice = sorted(c for c, n in Counter(columns).items() if n > 1)
        raise _refused("column_duplicate", f"The table has two columns {listed(twice)}. Rename one of each.")
    if absent := sorted(column for column in roles if column not in columns):
        raise DomainError(
            "column_unknown",
            f"The table has no column {listed(absent)}. Its columns are {listed(columns)}. Correct the column roles.",
            errors=[Problem(f"/roles/{_escaped(c)}", "There is no such column.") for c in absent],
        )


def _labelled(values: list[Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for value, rows in Counter(values).items():
        found[_label(value)] += rows
    return found


def _few(counter: Counter[str], added: Counter[str], column: str, limit: int) -> None:
    """Raises DomainError where a column that just gained `added` does not hold a few short values."""
    if any(len(label) > MAX_LABEL for label in added):
        raise _refused(
            "label_long",
            f"Column {column!r} holds values of more than {MAX_LABEL} characters. Correct the column roles.",
        )
    if len(counter) > limit:
        raise _refused(
            "labels_many",
            f"Column {column!r} holds more than {limit} different values. Put values together first.",
        )


def _label(value: Any) -> str:
    """A label or group as text, so that 1, 1.0 and "1" are one; evaluations/data reads it the same way."""
    if value is None or value != value or value == "":
        return MISSING_GROUP
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _spelled(counter: Counter[str], format: str) -> Counter[str]:
    """Groups of a csv column as they are called once its type is known: numbers, truth values or text."""
    if format != "csv":
        return counter
    named: Counter[str] = Counter()
    for label, rows in counter.items():
        named[MISSING_GROUP if label in _NULLS else label] += rows
    texts = [label for label in named if label != MISSING_GROUP]
    if texts and all(label in ("true", "True", "TRUE", "false", "False", "FALSE") for label in texts):
        spelling = {label: label.capitalize() for label in texts}
    else:
        try:
            spelling = {label: _label(float(label)) for label in texts}
        except ValueError:
            return named
    merged: Counter[str] = Counter()
    for label, rows in named.items():
        merged[spelling.get(label, label)] += rows
    return merged


# --- reading: batches of a row count and the values of the wanted columns --------------------------

Batches = Iterator[tuple[int, dict[str, list[Any]]]]


def _read_parquet(path: Path, roles: Mapping[str, str], wanted: list[str]) -> Batches:
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        _check_columns(schema.names, roles)
        _check_types(schema, roles, pa)
        leaves = [file.schema.column(i).path for i in range(len(file.schema))]
    # Dictionaries stay as they are stored: one long value repeated a billion times stays one.
    kept = [leaf for leaf in leaves if leaf in wanted or leaf.partition(".list.")[0] in wanted]
    with parquet.ParquetFile(path, read_dictionary=kept) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=wanted):
            yield batch.num_rows, {column: _plain(batch.column(column), pa) for column in wanted}


def _read_csv(path: Path, roles: Mapping[str, str], wanted: list[str]) -> Batches:
    import pyarrow as pa
    from pyarrow import csv

    with path.open("rb") as file:
        if not file.read(1):
            return
    # All as text: a type guessed from the first block may not hold for the last one.
    reader = csv.open_csv(
        path,
        read_options=csv.ReadOptions(use_threads=False),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types={c: pa.string() for c in roles}, null_values=[]),
    )
    _check_columns(reader.schema.names, roles)
    for batch in reader:
        yield batch.num_rows, {column: batch.column(column).to_pylist() for column in wanted}


def _read_jsonl(path: Path, roles: Mapping[str, str], wanted: list[str]) -> Batches:
    names: dict[str, None] = {}
    pending: list[dict[str, Any]] = []
    with path.open("rb") as file:
        number = held = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise ValueError(f"line {number} is longer than {MAX_LINE // 2**20} MB")
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if not text:
                continue
            record = json.loads(text)
            if not isinstance(record, dict):
                raise ValueError(f"line {number} is not a JSON object")
            names.update(dict.fromkeys(record))
            if len(names) > MAX_COLUMNS:
                break
            for column, value in record.items():
                role = roles.get(column, Role.IGNORE)
                if isinstance(value, dict | list) and role != Role.IGNORE and not _is_texts(value, role):
                    raise _nested(column, "lists or objects")
            pending.append({column: _unspelled(record.get(column)) for column in wanted})
            held += len(line)
            if len(pending) == BATCH_ROWS or held > BATCH_BYTES:
                yield len(pending), {c: [r[c] for r in pending] for c in wanted}
                pending.clear()
                held = 0
    if names:
        _check_columns(list(names), roles)
    yield len(pending), {c: [r[c] for r in pending] for c in wanted}


_READERS = {"parquet": _read_parquet, "csv": _read_csv, "jsonl": _read_jsonl}


def _unspelled(value: Any) -> Any:
    """A value as `_plain` gives it: of a list only whether it is empty."""
    return [None] * bool(value) if isinstance(value, list) else value


def _is_texts(value: Any, role: str) -> bool:
    """A list of texts, or of whole numbers, where `role` may hold one."""
    return (
        role in LISTED
        and isinstance(value, list)
        and any(all(type(one) in (kind, type(None)) for one in value) for kind in (str, int))
    )


def _check_types(schema: Any, roles: Mapping[str, str], pa: Any) -> None:
    """evaluations/data/columns.py takes the same."""
    is_ = pa.types
    for column, role in roles.items():
        kind = schema.field(column).type
        kind = kind.value_type if is_.is_dictionary(kind) else kind
        plain = not is_.is_nested(kind) and not is_.is_binary(kind) and not is_.is_large_binary(kind)
        image = is_.is_binary(kind) or is_.is_large_binary(kind)
        image |= is_.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}
        texts = (is_.is_list(kind) or is_.is_large_list(kind)) and (
            is_.is_string(kind.value_type)
            or is_.is_large_string(kind.value_type)
            or is_.is_integer(kind.value_type)
            or is_.is_null(kind.value_type)
        )
        if not (plain or role == Role.IGNORE or (image and role == Role.INPUT) or (texts and role in LISTED)):
            raise _nested(column, str(kind))


def _plain(array: Any, pa: Any) -> list[Any]:
    """Python values of an array; a dictionary's values are made once each, however often they occur.

    Of lists no value is made: [] is an empty one, [None] any other.
    """
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return [None if n is None else [None] * (n > 0) for n in array.value_lengths().to_pylist()]
    if pa.types.is_dictionary(array.type):
        values = array.dictionary.to_pylist()
        return [None if i is None else values[i] for i in array.indices.to_pylist()]
    plain: list[Any] = array.to_pylist()
    return plain


def _nested(column: str, kind: str) -> DomainError:
    return _refused(
        "column_type",
        f"Column {column!r} holds {kind[:60]}, which its role cannot have. Flatten it, or give it the role 'ignore'.",
        f"/roles/{_escaped(column)}",
    )


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _refused(code: str, message: str, pointer: str = "/files/0") -> DomainError:
    return DomainError(code, message, errors=[Problem(pointer, message)])
