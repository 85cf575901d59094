"""Shard files: how a run writes them whole, and how a merge reads them from a process it does not trust."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet
from pydantic import Field, ValidationError

from evaluations.spec import Cost, EvaluationError, Frozen, RunRequest, Shard, ShardState

LARGEST = 2 * 2**30  # bytes


class ShardFile(Frozen):
    """shard-NNN.json: written last, so that its presence means that the shard is complete."""

    schema_: Literal["shard/1"] = Field(default="shard/1", alias="schema")
    request: str  # request_key: a shard of another request is never reused
    start: int
    stop: int
    sha256: str  # of shard-NNN.parquet
    counters: dict[str, int] = {}
    cost: Cost = Cost()
    device: str = "cpu"


def request_key(request: RunRequest) -> str:
    """Digest of what decides the numbers: not the run's id, nor where things lie, nor its limits."""
    deciding = request.model_dump(
        mode="json", by_alias=True, exclude={"run_id", "resources", "scores", "limits"}
    )
    for model in (deciding["model"], deciding["judge"], deciding["reference"], deciding["attacker"]):
        while model is not None:
            model.pop("path")
            model = model["parent"]
    deciding["data"].pop("path")
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """All of `content` or nothing: to a temporary name, to the disk, then renamed."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _names(folder: Path, shard: Shard) -> tuple[Path, Path]:
    return folder / f"shard-{shard.index:03d}.parquet", folder / f"shard-{shard.index:03d}.json"


def write(
    folder: Path, shard: Shard, state: ShardState, request: RunRequest, cost: Cost, device: str
) -> None:
    records, about = _names(folder, shard)
    buffer = io.BytesIO()
    pa.parquet.write_table(state.records, buffer)
    write_whole(records, buffer.getvalue())
    meta = ShardFile(
        request=request_key(request),
        start=shard.start,
        stop=shard.stop,
        sha256=hashlib.sha256(buffer.getvalue()).hexdigest(),
        counters=state.counters,
        cost=cost,
        device=device,
    )
    write_whole(about, meta.model_dump_json(by_alias=True).encode())


def read(folder: Path, shard: Shard, request: RunRequest) -> tuple[ShardState, ShardFile]:
    """One shard. Raises EvaluationError `bad_shard` where a file is missing, damaged or of another request."""
    records, about = _names(folder, shard)
    try:
        meta = ShardFile.model_validate_json(_bytes(about))
        content = _bytes(records)
        if meta.request != request_key(request) or (meta.start, meta.stop) != (shard.start, shard.stop):
            raise ValueError("it belongs to another request")
        if hashlib.sha256(content).hexdigest() != meta.sha256:
            raise ValueError("its records do not match their digest")
        table = pa.parquet.read_table(pa.BufferReader(content))
        table.validate(full=True)
        _check_ids(table)
    except (OSError, ValueError, KeyError, ValidationError, pa.ArrowException) as error:
        raise EvaluationError(
            "bad_shard", f"Shard {shard.index} cannot be used: {str(error)[:300]}. Run the evaluation again."
        ) from error
    return ShardState(table, meta.counters), meta


def complete(folder: Path, shard: Shard, request: RunRequest) -> bool:
    """Whether an earlier run of the same request, killed later, left this shard whole."""
    try:
        read(folder, shard, request)
    except EvaluationError:
        return False
    return True


def _check_ids(table: pa.Table) -> None:
    if "example_id" not in table.column_names or table.schema.field("example_id").type != pa.string():
        raise ValueError("it has no text column example_id")
    ids = table.column("example_id").to_pylist()
    if None in ids or len(set(ids)) != len(ids):
        raise ValueError("an example id is missing or occurs twice")


def _bytes(path: Path) -> bytes:
    """A regular file's content: never through a symbolic link, never from a pipe that would block."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise ValueError(f"{path.name} is not a regular file")
        if about.st_size > LARGEST:
            raise ValueError(f"{path.name} is larger than {LARGEST} bytes")
        return file.read()
