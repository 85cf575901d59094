"""Answers that a model has given, by what was asked and of which example: asked once, used by every evaluation.

Safe files alone: one Parquet file per question and write, no pickle. Rows without an answer are
kept for this process and never written, so that a later run asks again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.models.protocol import Model
    from evaluations.spec import RunRequest

    Ask = Callable[[NDArray[np.int64]], pa.Table]

CHUNK = 2048  # rows asked for at once: what a cancel waits for
WRITE_EVERY = 20.0  # seconds: what a killed run asks again
DECIDING = (
    "numpy",
    "onnxruntime",
    "scikit-learn",
    "skops",
    "tokenizers",
    "torch",
    "transformers",
    "xgboost-cpu",
)


def key_of(request: RunRequest, model: Model, kind: str, **settings: Any) -> str:
    """Digest of everything that decides the answers: artefact, adapter, device class, libraries, data, settings."""
    versions = {}
    for library in DECIDING:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    deciding = {
        "kind": kind,
        "model": request.model.digest,
        "labels": request.model.labels,
        "adapter": model.adapter,
        "device": model.device,
        "libraries": versions,
        "data": request.data.digest,
        "roles": request.data.roles,
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True, default=str).encode()).hexdigest()


class ScoreStore:
    """Reads what earlier runs left in `earlier`, and leaves what is new in `here` (None: in memory alone)."""

    def __init__(self, here: Path | None = None, earlier: Path | None = None) -> None:
        self.here, self.earlier = here, earlier
        self._known: dict[str, dict[str, tuple[pa.Table, int]]] = {}
        self._unwritten: dict[str, list[pa.Table]] = {}
        self._written = time.monotonic()

    def answers(
        self,
        key: str,
        ids: NDArray[np.str_],
        ask: Ask,
        *,
        before_chunk: Callable[[int], None] = lambda done: None,
        chunk: int = CHUNK,
    ) -> pa.Table:
        """One row of answers per id, in order; only ids not known yet are asked for.

        `ask` maps positions in `ids` to a table with a row for each; a row whose columns are all null
        is an example without an answer. `before_chunk` is told how many ids have an answer, and may raise.
        """
        if key not in self._known:
            self._known[key] = self._read(key)
        known = self._known[key]
        names = [str(i) for i in ids]
        missing: NDArray[np.int64] = np.array(
            [i for i, name in enumerate(names) if name not in known], dtype=np.int64
        )
        for start in range(0, len(missing), chunk):
            before_chunk(len(names) - len(missing) + start)
            rows = missing[start : start + chunk]
            table = ask(rows).combine_chunks()
            for position, row in enumerate(rows):
                known[names[row]] = (table, position)
            self._keep(key, [names[row] for row in rows], table)
        return _gather(known, names)

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
        answered = np.zeros(table.num_rows, dtype=bool)
        for column in table.columns:
            answered |= ~np.asarray(column.is_null())
        named = table.add_column(0, "example_id", pa.array(names, pa.string()))
        self._unwritten.setdefault(key, []).append(named.filter(pa.array(answered)))
        if time.monotonic() - self._written > WRITE_EVERY:
            self.flush()

    def _read(self, key: str) -> dict[str, tuple[pa.Table, int]]:
        found: dict[str, tuple[pa.Table, int]] = {}
        for path in self._files(key):
            try:
                table = pa.parquet.read_table(path).combine_chunks()
                table.validate(full=True)
                names = table.column("example_id").to_pylist()
            except (OSError, KeyError, pa.ArrowException):  # damaged by a kill or by a model: ask again
                continue
            table = table.drop_columns(["example_id"])
            found.update({name: (table, row) for row, name in enumerate(names) if isinstance(name, str)})
        return found

    def _files(self, key: str) -> Iterator[Path]:
        for folder in (self.earlier, self.here):
            if folder is not None and folder.is_dir():
                yield from sorted(folder.glob(f"{key}-*.parquet"))


def _gather(known: dict[str, tuple[pa.Table, int]], names: list[str]) -> pa.Table:
    """The rows of `names`, taken from each table at once."""
    tables: dict[int, pa.Table] = {}
    offsets: dict[int, int] = {}
    total = 0
    take: NDArray[np.int64] = np.empty(len(names), dtype=np.int64)
    for i, name in enumerate(names):
        table, row = known[name]
        if id(table) not in offsets:
            tables[id(table)], offsets[id(table)] = table, total
            total += table.num_rows
        take[i] = offsets[id(table)] + row
    return pa.concat_tables(tables.values()).take(take)
