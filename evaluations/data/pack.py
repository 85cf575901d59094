"""Packs a folder that `datasets` saved, Parquet shards or a folder of images into one Parquet file.

python -m evaluations.data.pack FOLDER OUT.parquet [--split NAME]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from evaluations.data import reading
from evaluations.data.formats import format_of
from evaluations.spec import EvaluationError

GROUP = 64 * 2**20  # bytes of a row group


def pack(folder: Path, target: Path, split: str = "") -> pa.Schema:
    """Write the rows of `folder` to `target`, which appears when it is whole. Returns its columns."""
    kind = format_of(folder)
    if kind not in ("huggingface", "images"):
        raise EvaluationError("data_format", f"{folder.name!r} is one file already: register it as it is.")
    descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=".part-", suffix=".parquet")
    os.close(descriptor)
    try:
        schema = reading.folder_schema(folder, kind)
        with pa.parquet.ParquetWriter(part, schema, compression="zstd") as writer:
            for table in _grouped(reading.folder_tables(folder, kind, split=split)):
                writer.write_table(table.cast(schema))
        os.chmod(part, 0o644)
        os.replace(part, target)
    finally:
        Path(part).unlink(missing_ok=True)
    return schema


def _grouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(one.nbytes for one in held) > GROUP:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m evaluations.data.pack", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("target", type=Path, metavar="OUT.parquet")
    parser.add_argument(
        "--split", default="", help="only this split (default: all, with a column that names it)"
    )
    chosen = parser.parse_args(arguments)
    try:
        if chosen.target.suffix.lower() != ".parquet":
            raise EvaluationError("data_format", "Name the target with the ending .parquet.")
        schema = pack(chosen.folder, chosen.target, chosen.split)
    except EvaluationError as error:
        print(error.message, file=sys.stderr)
        return 1
    print(f"{chosen.target}: {pa.parquet.read_metadata(chosen.target).num_rows:,} rows")
    for field in schema:
        print(f"  {field.name}: {field.type}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
