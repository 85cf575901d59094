"""Reads tables of successful attacks, which a sandboxed run wrote, and puts several of them together.

What is read is hostile: rows, sizes and types are bounded before a value is made, as far as pyarrow lets one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from auditor.core.errors import DomainError
from evaluations.spec import Modality, Role

MAX_ROWS = 100_000
MAX_BYTES = 256 * 2**20  # of texts and images, unpacked
MAX_COLUMNS = 5_000
BATCH_ROWS = 1024
THRIFT_BYTES = 16 * 2**20  # of a file's own description of itself
OWN = {"id": "id", "original_id": "cluster", "recipe": "ignore", "kind": "ignore"}
FED = {Modality.TEXT_CLASSIFIER: "text", Modality.IMAGE_CLASSIFIER: "image"}
LABEL = "label"
RECIPE = re.compile(r"[A-Za-z0-9_.+-]{1,60}")


@dataclass(frozen=True)
class AttackTable:
    """Rows of attacks. `types` names the function of pyarrow for each column; a row has its values in that order."""

    types: dict[str, str]
    roles: dict[str, str]
    rows: dict[str, tuple[Any, ...]]  # by id, which says what the model is fed and the true label

    def joined(self, more: AttackTable) -> AttackTable:
        """These rows and those of `more` that are not among them. Raises `suite_differs`."""
        if (self.roles, self.types) != (more.roles, more.types):
            raise DomainError(
                "suite_differs",
                "The attacks have other columns than those kept under this name. Keep them under another name.",
                status=409,
            )
        rows = self.rows | {key: row for key, row in more.rows.items() if key not in self.rows}
        if len(rows) > MAX_ROWS:
            raise refused(f"Together these are more than {MAX_ROWS:,} attacks. Keep them under another name.")
        if (
            sum(_bytes(value) for row in rows.values() for value in row) > MAX_BYTES
        ):  # or none could be added again
            raise refused(
                f"Together these take more than {MAX_BYTES // 2**20} MiB. Keep them under another name."
            )
        return replace(self, rows=rows)

    def labels(self) -> set[str]:
        at = list(self.types).index(next(c for c, role in self.roles.items() if role == Role.TARGET))
        return {str(row[at]) for row in self.rows.values()}

    def write(self, path: Path) -> None:
        """As Parquet, the rows in order."""
        import pyarrow as pa
        from pyarrow import parquet

        values = list(zip(*self.rows.values(), strict=True))
        columns = {
            name: pa.array(column, getattr(pa, kind)())
            for (name, kind), column in zip(self.types.items(), values, strict=True)
        }
        parquet.write_table(pa.table(columns), path)


def roles_for(modality: str, audited: dict[str, str]) -> dict[str, str]:
    """Column roles of attacks on a model of this kind, where the audited data have the roles `audited`."""
    if fed := FED.get(Modality(modality)):
        return {fed: "input", LABEL: "target", **OWN, "original_text": "ignore"}
    if modality != Modality.TABULAR:
        raise refused("They are not attacks on a classifier.")
    kept = (Role.INPUT, Role.TARGET, Role.SENSITIVE)
    of_table = {column: role for column, role in audited.items() if role in kept}
    if clash := sorted(of_table.keys() & OWN.keys()):
        raise refused(
            f"The audited data have a column {clash[0]!r}, which a suite needs for itself. Rename it in the data."
        )
    return {**of_table, **OWN}


def read(source: bytes | Path, roles: dict[str, str]) -> AttackTable:
    """The attacks in a Parquet file, each once. Raises `attacks_refused` naming what is wrong."""
    import pyarrow as pa
    from pyarrow import parquet

    file = pa.BufferReader(source) if isinstance(source, bytes) else str(source)
    limits = {"thrift_string_size_limit": THRIFT_BYTES, "thrift_container_size_limit": 10**6}
    try:
        with parquet.ParquetFile(file, **limits) as opened:
            types = _types(opened.schema_arrow, roles, pa)
            if opened.metadata.num_rows > MAX_ROWS:
                raise refused(f"The file has more than {MAX_ROWS:,} attacks.")
            if _unpacked(opened.metadata) > MAX_BYTES:
                raise _large()
        texts = [name for name, kind in types.items() if kind in ("string", "binary")]
        file = pa.BufferReader(source) if isinstance(source, bytes) else str(source)
        # dictionaries stay as stored: a long value repeated many times is one until it is counted that many times
        with parquet.ParquetFile(file, read_dictionary=texts, **limits) as opened:
            rows = _rows(opened.iter_batches(batch_size=BATCH_ROWS, columns=list(types)), types, roles)
    except (ValueError, OSError, IndexError, RecursionError) as error:  # pyarrow's errors are among them
        raise refused(f"It cannot be read: {str(error)[:200]}.") from error
    if not rows:
        raise refused("It holds no attack.")
    present = {column: role for column, role in roles.items() if column in types}
    return AttackTable(types, present, rows)


def refused(why: str) -> DomainError:
    return DomainError("attacks_refused", f"These attacks cannot be kept. {why}")


def _large() -> DomainError:
    return refused(f"Its rows take more than {MAX_BYTES // 2**20} MiB.")


def _unpacked(metadata: Any) -> int:
    """Bytes that the values take before they are repeated, as the file says of itself.

    Its groups of rows are asked, not its columns: pyarrow ends the process at a column whose description is damaged.
    """
    return sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))


def _types(schema: Any, roles: dict[str, str], pa: Any) -> dict[str, str]:
    """The columns to keep with their types: those with a role, the target and the inputs among them."""
    if len(schema.names) > MAX_COLUMNS or len(set(schema.names)) != len(schema.names):
        raise refused("Its columns are too many, or two have one name.")
    wanted = [name for name in roles if name in schema.names]
    needed = [c for c, role in roles.items() if role in ("target", "id", "cluster") or c == "recipe"]
    if missing := sorted(set(needed) - set(wanted)):
        raise refused(f"Its column {missing[0]!r} is missing.")
    if not any(roles[name] == Role.INPUT for name in wanted):
        raise refused("No column of what the model is fed is in it.")
    return {name: _type_name(name, schema.field(name).type, pa) for name in wanted}


def _type_name(column: str, kind: Any, pa: Any) -> str:
    is_ = pa.types
    kind = kind.value_type if is_.is_dictionary(kind) else kind
    for name, fits in (
        ("string", is_.is_string(kind) or is_.is_large_string(kind)),
        ("binary", is_.is_binary(kind) or is_.is_large_binary(kind)),
        ("bool_", is_.is_boolean(kind)),
        ("int64", is_.is_integer(kind) and not is_.is_uint64(kind)),
        ("float64", is_.is_floating(kind)),
    ):
        if fits:
            return name
    raise refused(f"Its column {column!r} holds {str(kind)[:60]}, which no suite holds.")


def _rows(batches: Iterator[Any], types: dict[str, str], roles: dict[str, str]) -> dict[str, tuple[Any, ...]]:
    names = list(types)
    told = [i for i, name in enumerate(names) if roles[name] in (Role.INPUT, Role.TARGET)]
    recipe, own = names.index("recipe"), names.index("id")
    rows: dict[str, tuple[Any, ...]] = {}
    size = 0
    for batch in batches:
        size += sum(_size(batch.column(name)) for name in names)
        if size > MAX_BYTES:
            raise _large()
        columns = [_values(batch.column(name)) for name in names]
        for row in zip(*columns, strict=True):
            if not RECIPE.fullmatch(str(row[recipe])):
                raise refused(f"It names a recipe {str(row[recipe])[:60]!r}, which is no name of one.")
            key = f"{row[recipe]}:{_identity([row[i] for i in told])}"
            rows.setdefault(key, (*row[:own], key, *row[own + 1 :]))
            if len(rows) > MAX_ROWS:
                raise refused(f"The file has more than {MAX_ROWS:,} attacks.")
    return rows


def _size(array: Any) -> int:
    """Bytes of texts or images, those of a dictionary as often as they occur; 0 of other values."""
    from pyarrow import compute, types

    held = array.dictionary if types.is_dictionary(array.type) else array
    long = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    if not any(is_(held.type) for is_ in long):
        return 0
    lengths = compute.binary_length(held).cast("int64")
    if held is not array:
        lengths = lengths.take(array.indices)
    return int(compute.sum(lengths).as_py() or 0)


def _values(array: Any) -> list[Any]:
    from pyarrow import types

    plain = array.dictionary_decode() if types.is_dictionary(array.type) else array
    found: list[Any] = plain.to_pylist()
    return found


def _bytes(value: Any) -> int:
    return len(value.encode()) if isinstance(value, str) else len(value) if isinstance(value, bytes) else 0


def _identity(values: Sequence[Any]) -> str:
    """24 hexadecimal digits that say what a model is fed and what the answer is to be: the same for the same row."""
    found = hashlib.sha256()
    for value in values:
        part = value if isinstance(value, bytes) else repr(value).encode()
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()[:24]
