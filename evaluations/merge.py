"""Judges the shards of a run in a process that never loaded the model."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path

from evaluations import shardfiles
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.engine import fingerprint
from evaluations.runner import check_before_data, checked_plan, resolve
from evaluations.spec import Cost, EvaluationError, EvaluationResult, Modality, ModelFormat, RunRequest

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
    "shap",
    "captum",
    "fairlearn",
)


def merge_request(
    request: RunRequest,
    shards: Path,
    out: Path,
    parent_shards: Path | None = None,
    judge_shards: Path | None = None,
    reference_shards: Path | None = None,
) -> EvaluationResult:
    """Reads and checks every shard of the plan, computes the metrics, writes OUT/result.json.

    An evaluation that compares with the parent version also needs `parent_shards`: what the same
    request gave for the parent. `judge_shards` is what the request's judge said of `shards`. Where the request names
    a reference model, `reference_shards` is what that answered.
    """
    evaluation, params = resolve(request)
    check_before_data(evaluation, request)
    data = dataset.read(request.data, request.model.modality)
    plan = checked_plan(evaluation, params, data).shards
    read = [shardfiles.read(shards, shard, request) for shard in plan]
    served = request.model.format is ModelFormat.ENDPOINT and not evaluation.requires.files
    endpoints = {"endpoint": fingerprint.confirmed(shards)} if served else {}
    ctx = Context(request, out)
    if evaluation.requires.parent:
        asked = for_parent(request)
        if parent_shards is None:
            raise EvaluationError(
                "no_parent_shards", f"{evaluation.name} needs the parent's shards: --parent-shards."
            )
        ctx.parent_states = [shardfiles.read(parent_shards, shard, asked)[0] for shard in plan]
        if asked.model.format is ModelFormat.ENDPOINT:
            endpoints["parent_endpoint"] = fingerprint.confirmed(parent_shards)
    if judge_shards is not None:
        asked = for_judge(request)
        ctx.judge_states = [shardfiles.read(judge_shards, shard, asked)[0] for shard in plan]
        if asked.model.format is ModelFormat.ENDPOINT:
            endpoints["judge_endpoint"] = fingerprint.confirmed(judge_shards)
    if request.reference is not None or reference_shards is not None:
        asked = for_reference(request)
        if reference_shards is None:
            raise EvaluationError(
                "no_reference_shards",
                f"{evaluation.name} was asked for with a reference model, whose shards it needs: --reference-shards.",
            )
        ctx.reference_states = [shardfiles.read(reference_shards, shard, asked)[0] for shard in plan]
        if asked.model.format is ModelFormat.ENDPOINT:
            endpoints["reference_endpoint"] = fingerprint.confirmed(reference_shards)
    result = evaluation.merge([state for state, _ in read], data, params, ctx)
    result = finished(result, [meta.cost for _, meta in read], [meta.device for _, meta in read])
    result = result.model_copy(update={"environment": {**result.environment, **endpoints}})
    shardfiles.write_whole(out / "result.json", result.model_dump_json(by_alias=True).encode())
    return result


def finished(result: EvaluationResult, costs: Sequence[Cost], devices: Sequence[str]) -> EvaluationResult:
    """The result with the environment it was made in and what it cost."""
    result = result.model_copy(
        update={
            "environment": {**environment(), "device": ", ".join(sorted(set(devices)))},
            "cost": total_cost(costs),
        }
    )
    return EvaluationResult.model_validate(result.model_dump(by_alias=True))  # model_copy checks nothing


def for_parent(request: RunRequest) -> RunRequest:
    """The same request for the parent version: what a comparison runs too. Raises `no_parent` where there is none."""
    if request.model.parent is None:
        raise EvaluationError(
            "no_parent",
            f"{request.evaluation} compares a version with its parent, and this one names none. Push it with --parent.",
            skipped=True,
        )
    return request.model_copy(update={"model": request.model.parent, "scores": ""})


def for_judge(request: RunRequest) -> RunRequest:
    """The request of the judge's pass: the judge is the model that is loaded, and the one it judges takes its place.

    `scores` stays: whoever starts the pass names the folder of the judge's answers there. Raises EvaluationError
    where there is no judge, or where the model would judge itself.
    """
    judge = request.judge
    if judge is None:
        raise EvaluationError(
            "no_judge", f"No judge is named for {request.evaluation}. Choose another model as its judge."
        )
    if judge.digest == request.model.digest:
        raise EvaluationError(
            "judge_is_model", "A model cannot judge its own answers. Choose another model as the judge."
        )
    return request.model_copy(update={"model": judge, "judge": request.model})


def for_reference(request: RunRequest) -> RunRequest:
    """The same request for the reference model. `scores` stays: whoever starts the pass names its folder there.

    Raises EvaluationError where there is no reference, where it is the audited model, or of another kind.
    """
    reference = request.reference
    if reference is None:
        raise EvaluationError(
            "no_reference",
            f"No reference model is named for {request.evaluation}. Name one, or run it without its shards.",
        )
    if reference.digest == request.model.digest:
        raise EvaluationError(
            "reference_is_model",
            "A model cannot be its own reference. Name one that was not trained on the data.",
        )
    if reference.modality != request.model.modality:
        raise EvaluationError(
            "reference_of_other_kind",
            f"The audited model is a {request.model.modality} model and the reference a {reference.modality} model: "
            "their answers cannot be compared. Name a reference of the same kind.",
        )
    return request.model_copy(update={"model": reference, "reference": None})


def for_attacker(request: RunRequest) -> RunRequest:
    """The request under which the attacker's own messages are kept. Raises EvaluationError for a model that cannot
    write, or where none is named."""
    attacker = request.attacker
    if attacker is None:
        raise EvaluationError("no_attacker", f"No attacker is named for {request.evaluation}.")
    if attacker.modality not in (Modality.CAUSAL_LM, Modality.SEQ2SEQ):
        raise EvaluationError(
            "attacker_cannot_write",
            f"A {attacker.modality} model cannot lead another one on. Name one that writes text.",
        )
    return request.model_copy(update={"model": attacker, "attacker": None, "scores": ""})


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
