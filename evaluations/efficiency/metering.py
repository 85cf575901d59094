"""The half of efficiency.resources that holds the model: blocks of requests between two readings."""

from __future__ import annotations

import os
import resource
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.efficiency.energy import counters
from evaluations.engine.memory import peak_memory
from evaluations.models.calling import call
from evaluations.models.protocol import Remote
from evaluations.spec import ShardState

if TYPE_CHECKING:
    from pathlib import Path

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.efficiency.resources import ResourcesParams

WARM_UP = 5  # requests
SCHEMA = pa.schema(
    {
        "example_id": pa.string(),  # of the block
        "requests": pa.int64(),
        "answered": pa.int64(),
        "wall_seconds": pa.float64(),
        "cpu_seconds": pa.float64(),
        "joules": pa.float64(),  # null where nothing counts them
    }
)


def meter_shard(model: Any, data: Dataset, params: ResourcesParams, ctx: Context, blocks: int) -> ShardState:
    """One row per block; in the counters what is true of the whole process."""
    order = ctx.rng("requests").permutation(data.by_id)
    meters = counters(model.device)
    if isinstance(model, Remote):
        model.question = "resources"
    for number in range(WARM_UP):
        call(model, data, order[number % len(order)][None], params.settings)
    rows = []
    done = 0
    for block, numbers in enumerate(np.array_split(np.arange(params.requests), blocks)):
        ctx.stop_if_cancelled()
        joules, cpu, wall = sum(m.joules() for m in meters), _cpu_seconds(), time.monotonic()
        answered = sum(
            call(model, data, order[(WARM_UP + n) % len(order)][None], params.settings)[0] for n in numbers
        )
        spent = (time.monotonic() - wall, _cpu_seconds() - cpu)
        counted = sum(m.joules() for m in meters) - joules if meters else None
        rows.append((f"block-{block:03d}", len(numbers), answered, *spent, counted))
        done += len(numbers)
        ctx.progress(done, params.requests, "metering")
    counts = {
        "peak_memory": peak_memory(),
        "weights_bytes": _size(ctx.request.model.path),
        "cores": os.cpu_count() or 1,
        **{f"method_{meter.method}": 1 for meter in meters},
    }
    if model.device.startswith("cuda"):
        import torch

        counts["peak_gpu_memory"] = int(torch.cuda.max_memory_allocated())
    table = pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)
    return ShardState(table, counts)


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _size(folder: str | Path) -> int:
    """Bytes of the model's files; 0 for one that is in memory alone."""
    total = 0
    for place, _, names in os.walk(folder) if folder else ():
        total += sum(os.path.getsize(os.path.join(place, name)) for name in names)
    return total
