"""Reads the folders that `datasets` saves, and folders of Parquet shards as the hub has them, without `datasets`.

Class numbers become class names. Several splits come one after the other, with a column `split`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from evaluations.data import folders
from evaluations.data.folders import SPLITS, Found
from evaluations.spec import EvaluationError

SPLIT = "split"  # the column that says which split a row belongs to
ROWS = 16_384  # of a Parquet shard at once
EXTENSION = b"ARROW:extension:name"
_SHARD = re.compile(r"(?P<split>[\w.]+?)-\d{5}-of-\d{5}(-[0-9a-f]+)?\.parquet")


@dataclass(frozen=True)
class Part:
    """One split: its name ("" where there is but one without a name) and its files, all arrow or all parquet."""

    split: str
    files: tuple[Found, ...]
    features: dict[str, Any]  # as `datasets` describes the columns; {} where the files themselves do


def schema(folder: Path) -> pa.Schema:
    """The columns that `tables` gives, in order."""
    parts = _parts(folder)
    found = _agreed(parts)
    return found.append(pa.field(SPLIT, pa.string())) if _marked(parts, found) else found


def tables(folder: Path, wanted: Collection[str] | None = None, split: str = "") -> Iterator[pa.Table]:
    """The rows in order, some at a time. `wanted` limits the columns, `split` the splits."""
    parts = _parts(folder)
    found = _agreed(parts)
    marked = _marked(parts, found)
    if split:
        parts = [part for part in parts if part.split == split] or _no_split(split, parts)
    names = [name for name in found.names if wanted is None or name in wanted] or found.names
    for part in parts:
        for file in part.files:
            features = _features(_schema_of(file), part)
            with _reading(file):
                for table in _rows(file, names):
                    yield _finished(table, features, part.split if marked else None, wanted)


def _no_split(split: str, parts: list[Part]) -> list[Part]:
    there = ", ".join(part.split or "one without a name" for part in parts)
    raise EvaluationError("split_missing", f"There is no split {split[:60]!r}. There are: {there}.")


# --- which files ------------------------------------------------------------------------------------


def _parts(folder: Path) -> list[Part]:
    files = {found.name: found for found in folders.listed(folder) if not found.hidden}
    if "dataset_dict.json" in files:
        splits = folders.json_object(files["dataset_dict.json"]).get("splits")
        if not isinstance(splits, list) or not splits or not all(isinstance(s, str) for s in splits):
            raise _broken("dataset_dict.json", "names no splits")
        return [_saved(files, f"{split}/", split) for split in splits]
    if "state.json" in files:
        return [_saved(files, "", "")]
    return _shards([found for name, found in files.items() if name.endswith(".parquet")])


def _saved(files: dict[str, Found], prefix: str, split: str) -> Part:
    """What `save_to_disk` wrote. Every name is looked up among the files that were listed: none leads elsewhere."""
    name = f"{prefix}state.json"
    if name not in files:
        raise _broken(name, "is missing")
    state = folders.json_object(files[name])
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise _broken(name, "selects rows by an index file of an old version of datasets")
    named = state.get("_data_files")
    shards = (
        [f"{prefix}{d.get('filename')}" for d in named if isinstance(d, dict)]
        if isinstance(named, list)
        else []
    )
    absent = [shard for shard in shards if shard not in files]
    if not shards or absent:
        raise _broken(
            name, f"names {absent[0][:80]!r}, which is not there" if absent else "names no data files"
        )
    info = f"{prefix}dataset_info.json"
    features = folders.json_object(files[info]).get("features") if info in files else None
    return Part(
        split, tuple(files[shard] for shard in shards), features if isinstance(features, dict) else {}
    )


def _shards(found: list[Found]) -> list[Part]:
    """Parquet files by split: `train-00000-of-00002.parquet`, or any name in a folder `train`."""
    if not found:
        raise EvaluationError(
            "data_missing",
            "The folder holds neither what `datasets` saved (state.json, dataset_dict.json) nor Parquet files.",
        )
    by_split: dict[str, list[Found]] = {}
    places: dict[str, None] = {}
    for one in found:
        place, _, name = one.name.rpartition("/")
        shard, last = _SHARD.fullmatch(name), place.rpartition("/")[2]
        split = shard["split"] if shard else (last if last in SPLITS else "")
        places[place if shard or not split else place.rpartition("/")[0]] = None
        by_split.setdefault(split, []).append(one)
    if len(places) > 1:
        listed = ", ".join(repr(place[:60] or ".") for place in list(places)[:12])
        raise EvaluationError(
            "data_configurations",
            f"The folder holds several data sets, in {listed}. Give the folder of one of them.",
        )
    return [Part(split, tuple(files), {}) for split, files in by_split.items()]


def _broken(name: str, what: str) -> EvaluationError:
    return EvaluationError(
        "data_unreadable", f"{name[:120]!r} {what}. Save the data set again with save_to_disk."
    )


# --- one file -----------------------------------------------------------------------------------------


@contextmanager
def _reading(file: Found) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise folders.unreadable(file.name, error) from error


def _schema_of(file: Found) -> pa.Schema:
    with _reading(file):
        if file.name.endswith(".parquet"):
            found = pa.parquet.read_schema(file.path)
        else:
            with pa.OSFile(str(file.path)) as source, pa.ipc.open_stream(source) as stream:
                found = stream.schema
    if len(set(found.names)) != len(found.names):
        raise EvaluationError(
            "column_duplicate", f"Two columns of {file.name!r} have the same name. Rename one."
        )
    if any((field.metadata or {}).get(EXTENSION) == b"arrow.py_extension_type" for field in found):
        raise EvaluationError(
            "pickle",
            f"A column of {file.name!r} has a type that is described by a pickle, which can run code. Save the data "
            "set again with a current version of datasets.",
        )
    return found


def _rows(file: Found, names: list[str]) -> Iterator[pa.Table]:
    """Some rows at a time; only the columns `names` are unpacked."""
    if file.name.endswith(".parquet"):
        with pa.parquet.ParquetFile(file.path) as parquet:
            for batch in parquet.iter_batches(batch_size=ROWS, columns=names):
                yield pa.Table.from_batches([batch])
        return
    with pa.OSFile(str(file.path)) as source:
        with pa.ipc.open_stream(source) as stream:
            numbers = [stream.schema.get_field_index(name) for name in names]
        source.seek(0)
        options = pa.ipc.IpcReadOptions(included_fields=numbers)
        with pa.ipc.open_stream(source, options=options) as stream:
            for batch in stream:
                yield pa.Table.from_batches([batch]).select(names)


def _agreed(parts: list[Part]) -> pa.Schema:
    """The columns of the first file, decoded. Raises EvaluationError where another file has others."""
    files = [(part, file) for part in parts for file in part.files]
    first = _decoded_schema(*files[0])
    for part, file in files[1:]:
        if not _decoded_schema(part, file).equals(first):
            raise EvaluationError(
                "data_schema",
                f"{file.name[:80]!r} has other columns, or other types, than {files[0][1].name[:80]!r}. Save all "
                "splits with the same columns, or give the folder of one.",
            )
    return first


def _decoded_schema(part: Part, file: Found) -> pa.Schema:
    found = _schema_of(file)
    features = _features(found, part)
    return pa.schema([(field.name, _decoded_type(field.type, features.get(field.name))) for field in found])


# --- columns --------------------------------------------------------------------------------------------


def _features(schema: pa.Schema, part: Part) -> dict[str, Any]:
    """How `datasets` describes the columns: beside the files, or in them."""
    if part.features:
        return part.features
    try:
        described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return described if isinstance(described, dict) else {}


def _marked(parts: list[Part], found: pa.Schema) -> bool:
    """Whether a column `split` is added: where there are several."""
    if len(parts) > 1 and SPLIT in found.names:
        raise EvaluationError(
            "column_duplicate",
            f"The data set has several splits and a column {SPLIT!r} besides. Rename that column, or give one split.",
        )
    return len(parts) > 1


def _finished(
    table: pa.Table, features: dict[str, Any], split: str | None, wanted: Collection[str] | None
) -> pa.Table:
    """The rows with class names for class numbers, and the column that names their split."""
    table = table.replace_schema_metadata()
    for i, field in enumerate(table.schema):
        column = pa.chunked_array(
            [_decoded(chunk, features.get(field.name), field.name) for chunk in table.column(i).chunks],
            type=_decoded_type(field.type, features.get(field.name)),
        )
        _refuse_outside(column, field.name)
        table = table.set_column(i, field.name, column)
    if split is not None and (wanted is None or SPLIT in wanted):
        table = table.append_column(SPLIT, pa.array([split] * table.num_rows, pa.string()))
    return table


def _names(feature: Any) -> list[str] | None:
    """The class names that a feature declares."""
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    return names if isinstance(names, list) and all(isinstance(n, str) for n in names) else None


def _inner(feature: Any) -> Any:
    """What the items of a list feature are: {"feature": …} or, as older versions wrote it, [ … ]."""
    if isinstance(feature, list) and len(feature) == 1:
        return feature[0]
    return feature.get("feature") if isinstance(feature, dict) else None


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _decoded_type(kind: pa.DataType, feature: Any) -> pa.DataType:
    if pa.types.is_integer(kind) and _names(feature) is not None:
        return pa.string()
    if _is_list(kind) and pa.types.is_integer(kind.value_type) and _names(_inner(feature)) is not None:
        return pa.list_(pa.string())
    return kind


def _decoded(values: pa.Array, feature: Any, column: str) -> pa.Array:
    """Class numbers as class names, in a column or in its lists; anything else as it is. −1 is a missing label."""
    names, kind = _names(feature), values.type
    if names is not None and pa.types.is_integer(kind):
        return _named(values, names, column)
    if _decoded_type(kind, feature) != kind:
        flat = _named(values.flatten(), _names(_inner(feature)) or [], column)
        lengths = pa.compute.fill_null(values.value_lengths(), 0).to_numpy()
        ends = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
        return pa.ListArray.from_arrays(ends, flat, mask=values.is_null() if values.null_count else None)
    return values


def _named(numbers: pa.Array, names: list[str], column: str) -> pa.Array:
    missing = pa.compute.equal(numbers, -1)
    kept = pa.compute.if_else(missing, pa.scalar(None, numbers.type), numbers)
    span = pa.compute.min_max(kept).as_py()
    if span["min"] is not None and not 0 <= span["min"] <= span["max"] < len(names):
        raise EvaluationError(
            "label_range",
            f"Column {column!r} has {len(names)} class names, but holds the class number "
            f"{span['max'] if span['max'] >= len(names) else span['min']}. Save the data set again.",
        )
    return pa.array(names, pa.string()).take(kept)


def _refuse_outside(column: pa.ChunkedArray, name: str) -> None:
    """Images that are only named lie outside the folder: they are never opened."""
    kind = column.type
    if not (pa.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}):
        return
    content, path = (pa.compute.struct_field(column, part) for part in ("bytes", "path"))
    if pa.compute.any(pa.compute.and_(content.is_null(), path.is_valid())).as_py():
        raise EvaluationError(
            "image_outside",
            f"Column {name!r} names image files that are not in the data set. Save it again with the images in it: "
            f"dataset.cast_column({name!r}, datasets.Image()).save_to_disk(FOLDER).",
        )
