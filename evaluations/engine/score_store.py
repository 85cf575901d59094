"""Answers that a model has given, by what was asked and of which example: asked once, used by every evaluation.

Safe files alone: one Parquet file per question and write, no pickle. Rows without an answer are
kept for this process and never written, so that a later run asks again. What earlier runs of the
same model left is as hostile as the model: files that are no answers to the question are not used.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from evaluations.models.protocol import Remote

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.models.protocol import Model
    from evaluations.spec import RunRequest

    Ask = Callable[[NDArray[np.int64]], pa.Table]

CHUNK = 2048  # rows asked for at once: what a cancel waits for
WRITE_EVERY = 20.0  # seconds: what a killed run asks again
ID = "example_id"
DECIDING = (
    "lightgbm",
    "numpy",
    "onnxruntime",
    "pillow",
    "scikit-learn",
    "skops",
    "tokenizers",
    "torch",
    "transformers",
    "xgboost-cpu",
)


@functools.cache
def _versions() -> dict[str, str]:
    found = {}
    for library in DECIDING:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def key_of(request: RunRequest, model: Model, kind: str, **settings: Any) -> str:
    """Digest of everything that decides the answers: artefact, adapter, device class, libraries, data, settings."""
    deciding = {
        "kind": kind,
        "model": request.model.digest,
        "labels": request.model.labels,
        "adapter": model.adapter,
        "device": model.device,
        "libraries": _versions(),
        "data": request.data.digest,
        "roles": request.data.roles,
        "settings": settings,
        **({"identity": model.identity} if isinstance(model, Remote) else {}),
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True, default=str).encode()).hexdigest()


class ScoreStore:
    """Reads what earlier runs left in `earlier`, and leaves what is new in `here` (None: in memory alone)."""

    def __init__(self, here: Path | None = None, earlier: Path | None = None) -> None:
        self.here, self.earlier = here, earlier
        self._known: dict[str, _Known] = {}
        self._unwritten: dict[str, list[pa.Table]] = {}
        self._written = time.monotonic()

    def answers(
        self,
        key: str,
        ids: NDArray[np.str_],
        ask: Ask,
        *,
        before_chunk: Callable[[int], None] = lambda done: None,
        chunk: int | Callable[[], int] = CHUNK,
        ended: Callable[[], Exception | None] = lambda: None,
        schema: pa.Schema | None = None,
    ) -> pa.Table:
        """One row of answers per id, in order; only ids not known yet are asked for.

        `ask` maps positions in `ids` to a table with a row for each; a row whose columns are all null
        is an example without an answer. `before_chunk` is told how many ids have an answer, and may raise.
        Files with other columns than `schema`, or than `ask` gives, are passed over. Where `ended` says why
        nothing more can be asked, what was answered until then is kept, and that is raised.
        """
        names: list[str] = ids.tolist()
        if not names:
            return ask(np.empty(0, dtype=np.int64))
        if key not in self._known:
            self._known[key] = self._read(key)
        known = self._known[key]
        if schema is not None:
            known = self._known[key] = known.agreeing(schema)
        places = known.find(names)
        while len(missing := np.flatnonzero(places < 0)):
            start = 0
            while start < len(missing):
                before_chunk(len(names) - len(missing) + start)
                rows = missing[start : start + (chunk() if callable(chunk) else chunk)]
                start += len(rows)
                table = ask(rows).combine_chunks()
                if (reason := ended()) is not None:  # rows without an answer were not asked: forget them
                    kept = _answered(table)
                    rows, table = rows[kept], table.filter(pa.array(kept))
                known = self._known[key] = known.agreeing(table.schema)
                asked = [names[row] for row in rows]
                known.add(asked, table)
                self._keep(key, asked, table)
                if reason is not None:
                    raise reason
            places = known.find(names)
        return known.take(places)

    def flush(self) -> None:
        """Writes what has not been written yet."""
        if self.here is not None:
            for key, tables in self._unwritten.items():
                if tables:
                    self.here.mkdir(parents=True, exist_ok=True)
                    path = self.here / f"{key}-{secrets.token_hex(6)}.parquet"
                    part = path.with_name(f".{path.name}.part")
                    pa.parquet.write_table(pa.concat_tables(tables), part)
                    part.replace(path)
        self._unwritten.clear()
        self._written = time.monotonic()

    def _keep(self, key: str, names: list[str], table: pa.Table) -> None:
        if self.here is None:
            return
        answered = _answered(table)
        named = table.add_column(0, ID, pa.array(names, pa.string()))
        self._unwritten.setdefault(key, []).append(
            named if answered.all() else named.filter(pa.array(answered))
        )
        if time.monotonic() - self._written > WRITE_EVERY:
            self.flush()

    def _read(self, key: str) -> _Known:
        known = _Known()
        for path in self._files(key):
            try:
                table = pa.parquet.ParquetFile(path).read().replace_schema_metadata(None).combine_chunks()
                table.validate(full=True)
                names = table.column(ID)
            except (OSError, KeyError, pa.ArrowException):  # damaged by a kill or by a model: ask again
                continue
            if names.type == pa.string() and not names.null_count:
                known.add(names.to_pylist(), table.drop_columns([ID]), read=True)
        return known

    def _files(self, key: str) -> Iterator[Path]:
        for folder in (self.earlier, self.here):
            if folder is not None and folder.is_dir():
                yield from (p for p in sorted(folder.glob(f"{key}-*.parquet")) if not p.is_symlink())


def _answered(table: pa.Table) -> NDArray[np.bool_]:
    """Which rows hold anything."""
    answered = np.zeros(table.num_rows, dtype=bool)
    for column in table.columns:
        answered |= ~np.asarray(column.is_null())
    return answered


class _Known:
    """The answers to one question: tables end to end, and each id's place in them."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self.names: list[Sequence[str]] = []
        self.read: list[bool] = []  # came from a file
        self._places: dict[str, int] = {}

    def add(self, names: Sequence[str], table: pa.Table, *, read: bool = False) -> None:
        start = sum(len(held) for held in self.names)
        self._places.update(zip(names, range(start, start + len(names)), strict=True))
        self.tables.append(table)
        self.names.append(names)
        self.read.append(read)

    def agreeing(self, schema: pa.Schema) -> _Known:
        """Without what was read from files with other columns."""
        held = list(zip(self.names, self.tables, self.read, strict=True))
        if all(table.schema.equals(schema) for _, table, read in held if read):
            return self
        kept = _Known()
        for names, table, read in held:
            if not read or table.schema.equals(schema):
                kept.add(names, table, read=read)
        return kept

    def find(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The place of each id, -1 where it is not known."""
        places = self._places
        return np.fromiter((places.get(name, -1) for name in names), dtype=np.int64, count=len(names))

    def take(self, places: NDArray[np.int64]) -> pa.Table:
        """The rows at `places`, touching only the tables that hold them."""
        starts = np.cumsum([0, *(len(held) for held in self.names)])
        used, which = np.unique(np.searchsorted(starts, places, side="right") - 1, return_inverse=True)
        begins = np.cumsum([0, *(len(self.names[i]) for i in used)])[
            :-1
        ]  # of each used table among the used ones
        rows = places - starts[used][which] + begins[which]
        table = pa.concat_tables([self.tables[i] for i in used])
        if (np.diff(rows) == 1).all():  # in the order in which they were asked
            return table.slice(int(rows[0]), len(rows)).combine_chunks()
        return table.take(rows)
