"""Which children a run starts, and what each is told: the model, its parent, its judge, its reference."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from auditor.audits.models import EvaluationRun
from auditor.audits.planning import judge_for, wants_reference
from auditor.core import store
from auditor.registry.models import ModelVersion
from evaluations import catalogue
from evaluations.spec import DataRef, Limits, ModelRef, RunRequest
from workers import scores


@dataclass(frozen=True)
class Pass:
    """One child that holds a model. `option` tells the merging child where its shards are.

    `judging` is the option of an earlier pass, whose answers this model judges.
    """

    name: str
    version: ModelVersion
    request: RunRequest
    option: str
    judging: str = ""


def request_for(run: EvaluationRun) -> RunRequest:
    """What the child is told: digests, paths, parameters, limits. No secret is in it."""
    version, data = run.audit.model_version, run.audit.dataset_version
    model = _model_ref(version)
    if version.parent and catalogue.get(run.evaluation).requires.parent:
        model = model.model_copy(update={"parent": _model_ref(version.parent)})
    judge = judge_for(run.evaluation, run.params, run.audit.judge_version)
    reference = run.audit.reference_version if wants_reference(run.evaluation) else None
    return RunRequest(
        run_id=run.pk,
        evaluation=run.evaluation,
        params=run.params,
        model=model,
        data=DataRef(
            path=str(store.dataset_file(data.digest, data.format)),
            digest=data.digest,
            format=data.format,
            roles=data.roles,
            favourable_label=data.favourable_label or None,
        ),
        judge=_model_ref(judge) if judge else None,
        reference=_model_ref(reference) if reference else None,
        seed=run.audit.seed,
        resources=str(settings.RESOURCES_DIR),
        scores=str(scores.folder(run.audit, version)),
        limits=Limits(wall_seconds=settings.RUN_WALL_SECONDS, memory_bytes=settings.RUN_MEMORY_BYTES),
    )


def _model_ref(version: ModelVersion) -> ModelRef:
    return ModelRef(
        path=str(store.model_folder(version.digest)),
        digest=version.digest,
        modality=version.model.modality,
        format=version.format,
        labels=tuple(version.labels),
        languages=tuple(version.model.languages),
    )


def passes(run: EvaluationRun, request: RunRequest) -> list[Pass]:
    """The children that hold a model, in turn: the parent, the audited model, its judge, the reference."""
    version = run.audit.model_version
    found = [Pass("out", version, request, "--shards")]
    if request.model.parent and version.parent:
        # what evaluations.merge.for_parent demands, without loading what merging needs
        answers = str(scores.folder(run.audit, version.parent))
        asked = request.model_copy(update={"model": request.model.parent, "scores": answers})
        found.insert(0, Pass("parent", version.parent, asked, "--parent-shards"))
    if request.judge and (judge := run.audit.judge_version):
        asked = request.model_copy(update={"scores": str(scores.folder(run.audit, judge))})
        found.append(Pass("judge", judge, asked, "--judge-shards", judging="--shards"))
    if request.reference and (reference := run.audit.reference_version):
        # what evaluations.merge.for_reference demands
        answers = str(scores.folder(run.audit, reference))
        asked = request.model_copy(update={"model": request.reference, "reference": None, "scores": answers})
        found.append(Pass("reference", reference, asked, "--reference-shards"))
    return found
