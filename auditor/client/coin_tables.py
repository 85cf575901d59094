"""Reads a table row by row and writes two: the rows whose coin fell 1, as they are, and all rows beside their coins."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

from auditor.client.coins import Coins, new_id
from auditor.client.exits import ClientError

BATCH = 256  # rows of a Parquet file in memory at once


@dataclass(frozen=True)
class Split:
    """What to read, which columns to add, and where to. `own_id` is the column of ids that the table has, if any."""

    source: Path
    folder: Path
    column: str
    own_id: str | None
    new_id: str

    @property
    def train(self) -> Path:
        return self.folder / f"train{self.source.suffix.lower()}"

    @property
    def canaries(self) -> Path:
        return self.folder / f"canaries{self.source.suffix.lower()}"

    @property
    def added(self) -> tuple[str, ...]:
        return (self.column,) if self.own_id else (self.new_id, self.column)

    def mark(self, coins: Coins, row: dict[str, Any]) -> tuple[int, list[Any]]:
        """The coin of a row, and what stands in the added columns."""
        if self.own_id is None:
            coin = coins.toss(sorted(row.items(), key=itemgetter(0)))
            return coin, [new_id(), coin]
        content = sorted((pair for pair in row.items() if pair[0] != self.own_id), key=itemgetter(0))
        identity = row.get(self.own_id)
        coin = coins.toss(content, "" if identity is None else identity)
        return coin, [coin]

    def check(self, names: Sequence[str]) -> None:
        """Raises ClientError where columns cannot be told apart, or one that is to be added is there."""
        what = self.source.name
        if "" in names:
            raise ClientError(
                f"Column {names.index('') + 1} of {what} has no name. Name it, or leave it out."
            )
        if len(set(names)) != len(names):
            (twice, _), *_ = Counter(names).most_common(1)
            raise ClientError(f"{what} has two columns called {twice!r}. Rename one.")
        if self.column in names:
            raise ClientError(
                f"{what} has a column {self.column!r} already. Name the coins otherwise with --column."
            )
        if self.own_id is None and self.new_id in names:
            raise ClientError(
                f"{what} has a column {self.new_id!r} already. Give --id {self.new_id}, if it tells the rows apart; "
                "else rename it."
            )
        if self.own_id is not None and self.own_id not in names:
            raise ClientError(
                f"{what} has no column {self.own_id!r}. Its columns are: {', '.join(names[:30])}."
            )


def split(asked: Split) -> tuple[Coins, list[str]]:
    """Write both tables. Returns the coins, and the columns that the source has."""
    kinds: dict[str, Callable[[Split, Coins], list[str]]] = {
        ".csv": _csv,
        ".jsonl": _jsonl,
        ".parquet": _parquet,
    }
    name = asked.source.name
    if not asked.source.is_file():
        raise ClientError(f"There is no file {asked.source}.")
    if asked.source.suffix.lower() not in kinds:
        raise ClientError(f"{name} is not a .parquet, .csv or .jsonl file. Convert it, and name it so.")
    coins = Coins()
    try:
        names = kinds[asked.source.suffix.lower()](asked, coins)
    except UnicodeError as error:
        raise ClientError(f"{name} is not in UTF-8: {str(error)[:200]}. Save it again.") from error
    coins.check_count(name)
    return coins, names


def _csv(asked: Split, coins: Coins) -> list[str]:
    with (
        asked.source.open(encoding="utf-8-sig", newline="") as lines,
        asked.train.open("w", encoding="utf-8", newline="") as train,
        asked.canaries.open("w", encoding="utf-8", newline="") as canaries,
    ):
        rows = _cells(asked, lines)
        names = next(rows, [])
        asked.check(names)
        some, every = (csv.writer(out, lineterminator="\n") for out in (train, canaries))
        some.writerow(names)
        every.writerow([*names, *asked.added])
        for cells in rows:
            if len(cells) != len(names):
                raise ClientError(
                    f"Row {coins.rows + 1} of {asked.source.name} has {len(cells)} cells, the header has {len(names)}. "
                    "Correct it."
                )
            coin, more = asked.mark(coins, dict(zip(names, cells, strict=True)))
            every.writerow([*cells, *more])
            if coin:
                some.writerow(cells)
    return names


def _cells(asked: Split, lines: TextIO) -> Iterator[list[str]]:
    """The rows that are not blank."""
    try:
        yield from filter(None, csv.reader(lines, strict=True))
    except csv.Error as error:
        raise ClientError(
            f"{asked.source.name} cannot be read: {error}. Save it again, as .jsonl if its texts are long."
        ) from error


def _jsonl(asked: Split, coins: Coins) -> list[str]:
    names: dict[str, None] = {}
    with (
        asked.source.open(encoding="utf-8-sig") as lines,
        asked.train.open("w", encoding="utf-8") as train,
        asked.canaries.open("w", encoding="utf-8") as canaries,
    ):
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            row = _object(line, f"Line {number} of {asked.source.name}")
            if not row.keys() <= names.keys():
                names |= dict.fromkeys(row)
                asked.check(list(row))
            coin, more = asked.mark(coins, row)
            marked = row | dict(zip(asked.added, more, strict=True))
            canaries.write(json.dumps(marked, ensure_ascii=False) + "\n")
            if coin:
                train.write(line.strip() + "\n")
    return list(names)


def _object(line: str, where: str) -> dict[str, Any]:
    def refuse(what: str) -> Any:
        raise ClientError(f"{where} holds {what[:60]}, which JSON does not know. Write null, or a number.")

    def number(text: str) -> Any:
        value = float(text)
        return value if math.isfinite(value) else refuse(text)  # 1e999 would be written as Infinity

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ClientError(f"{where} names a column twice. Correct it.")
        return dict(pairs)

    try:
        row = json.loads(line, parse_constant=refuse, parse_float=number, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ClientError(f"{where} is no JSON: {str(error)[:200]}. Correct it.") from error
    if not isinstance(row, dict):
        raise ClientError(f"{where} is no JSON object. Write each row as {{…}} on a line of its own.")
    return row


def _parquet(asked: Split, coins: Coins) -> list[str]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ClientError(
            "Reading a Parquet file needs pyarrow: pip install pyarrow, or give a .csv or .jsonl file."
        ) from error
    try:
        with parquet.ParquetFile(asked.source) as read:
            schema = read.schema_arrow
            asked.check(schema.names)
            wider = schema.remove_metadata()  # which may list the columns
            kinds = {asked.new_id: pa.string(), asked.column: pa.int8()}
            for name in asked.added:
                wider = wider.append(pa.field(name, kinds[name]))
            with (
                parquet.ParquetWriter(asked.train, schema) as train,
                parquet.ParquetWriter(asked.canaries, wider) as canaries,
            ):
                for batch in read.iter_batches(BATCH):
                    marks = [asked.mark(coins, row) for row in batch.to_pylist()]
                    more = [
                        pa.array([added[place] for _, added in marks], kinds[name])
                        for place, name in enumerate(asked.added)
                    ]
                    canaries.write_batch(pa.RecordBatch.from_arrays([*batch.columns, *more], schema=wider))
                    train.write_batch(batch.filter(pa.array([bool(coin) for coin, _ in marks])))
            return [str(name) for name in schema.names]
    except pa.ArrowException as error:
        raise ClientError(
            f"{asked.source.name} cannot be read as Parquet: {str(error)[:200]}. Save it again."
        ) from error
