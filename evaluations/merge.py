"""Judges the shards of a run in a process that never loaded the model."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path

from evaluations import shardfiles
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.run import check_before_data, checked_plan, resolve
from evaluations.spec import Cost, EvaluationResult, RunRequest

LIBRARIES = (
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "skops",
    "onnxruntime",
    "torch",
    "transformers",
    "tokenizers",
    "textattack",
    "fairlearn",
)


def merge_request(request: RunRequest, shards: Path, out: Path) -> EvaluationResult:
    """Reads and checks every shard of the plan, computes the metrics, writes OUT/result.json."""
    evaluation, params = resolve(request)
    check_before_data(evaluation, request)
    data = dataset.read(request.data, request.model.modality)
    read = [
        shardfiles.read(shards, shard, request) for shard in checked_plan(evaluation, params, data).shards
    ]
    result = evaluation.merge([state for state, _ in read], data, params, Context(request, out))
    devices = sorted({meta.device for _, meta in read})
    result = result.model_copy(
        update={
            "environment": {**environment(), "device": ", ".join(devices)},
            "cost": total_cost([meta.cost for _, meta in read]),
        }
    )
    result = EvaluationResult.model_validate(result.model_dump(by_alias=True))  # model_copy checks nothing
    shardfiles.write_whole(out / "result.json", result.model_dump_json(by_alias=True).encode())
    return result


def environment() -> dict[str, str]:
    """Python, platform and the version of each library that numbers depend on."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "platform": platform.platform(), **versions}


def total_cost(costs: Sequence[Cost]) -> Cost:
    """Times and counts added up; the peak is the largest."""
    return Cost(
        wall_seconds=round(sum(c.wall_seconds for c in costs), 3),
        cpu_seconds=round(sum(c.cpu_seconds for c in costs), 3),
        queries=sum(c.queries for c in costs),
        tokens=sum(c.tokens for c in costs),
        peak_rss_bytes=max((c.peak_rss_bytes for c in costs), default=0),
    )
