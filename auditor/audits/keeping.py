"""Keeps the successful attacks of a run as a data set."""

from __future__ import annotations

from auditor.audits.models import Artifact, Audit, EvaluationRun, RunStatus
from auditor.core import store
from auditor.core.access import Principal
from auditor.core.errors import DomainError
from auditor.registry import suites


def attacked_run(audit: Audit, item: str) -> EvaluationRun | None:
    """The run of a suite item whose successful attacks are in the store, or None where there is none."""
    return (
        audit.runs.filter(item=item, status=RunStatus.SUCCEEDED, artifacts__kind=Artifact.Kind.ATTACKS)
        .order_by("-attempt")
        .first()
    )


def keep_attacks(*, principal: Principal, audit: Audit, item: str, name: str) -> suites.Kept:
    """The suite `name` with the attacks that succeeded in this item of an audit. Doing it again changes nothing."""
    run = attacked_run(audit, item)
    if run is None:
        raise DomainError(
            "no_attacks",
            f"The item “{item[:60]}” of this audit has no successful attacks to keep.",
            status=404,
        )
    version = audit.model_version
    return suites.keep(
        principal=principal,
        name=name,
        audited=audit.dataset_version,
        modality=version.model.modality,
        attacks=store.get(run.artifacts.get(kind=Artifact.Kind.ATTACKS).sha256),
        origin={
            "audit": audit.pk,
            "run": run.pk,
            "evaluation": f"{run.evaluation} {run.evaluation_version}",
            "model": str(version),
            "model_digest": version.digest,
            "data": str(audit.dataset_version),
            "data_digest": audit.dataset_version.digest,
        },
    )
