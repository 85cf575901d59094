"""Submitting, cancelling and completing audits. How runs are leased is in leases.py."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection, transaction
from django.utils import timezone

from auditor.audits import judging
from auditor.audits.budgets import Budget
from auditor.audits.models import LIVE, Audit, AuditStatus, EvaluationRun, RunStatus
from auditor.audits.planning import AuditPlan, PlannedRun, plan
from auditor.core.access import Principal, require
from auditor.core.errors import DomainError, conflict, forbidden
from auditor.core.queue import WAKE, send_on_commit
from auditor.core.states import transition
from auditor.policies.models import PolicyVersion
from auditor.registry.models import DatasetVersion, ModelVersion

__all__ = ["AuditPlan", "PlannedRun", "complete", "finish_cancel", "plan", "request_cancel", "submit"]


@transaction.atomic
def submit(
    *,
    principal: Principal,
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
    policy_versions: Sequence[PolicyVersion],
    supersedes: Audit | None = None,
    budget: Budget | None = None,
    judge_version: ModelVersion | None = None,
    reference_version: ModelVersion | None = None,
) -> Audit:
    """Freeze every digest, queue the runs and wake the workers once this is committed."""
    budget = (budget or Budget()).checked()
    require(principal, "submit", model_version.model.team_id)
    if dataset_version.dataset.team_id not in principal.roles:
        raise DomainError(
            "not_found", f"There is no data set “{dataset_version}” that you can see.", status=404
        )
    for other in (judge_version, reference_version):
        if other is not None and other.model.team_id not in principal.roles:
            raise DomainError("not_found", f"There is no model “{other}” that you can see.", status=404)
    if supersedes is not None:
        _check_superseded(supersedes, model_version)
    planned = plan(
        model_version=model_version,
        dataset_version=dataset_version,
        policy_versions=policy_versions,
        budget=budget,
        judge_version=judge_version,
        reference_version=reference_version,
    )
    for served in planned.served:  # with its team's credential, and at its cost
        if not principal.may("submit", served.model.team_id):
            raise forbidden(
                f"{served} is asked with the credential of its team, {served.model.team.name}, in which you may not "
                "submit. Ask an administrator of that team for the role, or name another model."
            )
    with connection.cursor() as cursor:  # so that two submissions cannot both be the 2nd audit
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('audits:' || %s))", [model_version.digest])
    audit = Audit.objects.create(
        model_version=model_version,
        dataset_version=dataset_version,
        status=AuditStatus.QUEUED,
        seed=planned.seed,
        digest=planned.digest,
        ordinal=Audit.objects.filter(model_version__digest=model_version.digest).count() + 1,
        supersedes=supersedes,
        # one that no run asks is not pinned, and no card may name it
        judge_version=judge_version if judge_version in planned.asked else None,
        reference_version=reference_version if reference_version in planned.asked else None,
        **vars(budget),
        requested_by_id=principal.user_id,
    )
    audit.policy_versions.set(policy_versions)
    EvaluationRun.objects.bulk_create(
        EvaluationRun(
            audit=audit,
            item=item.item,
            position=position,
            evaluation=item.evaluation,
            evaluation_version=item.version,
            params=item.params,
            status=RunStatus.SKIPPED if item.refusal else RunStatus.QUEUED,
            reason_code="not_supported" if item.refusal else "",
            reason=item.refusal,
            finished_at=timezone.now() if item.refusal else None,
        )
        for position, item in enumerate(planned.items)
    )
    send_on_commit(WAKE)
    return audit


def _check_superseded(earlier: Audit, model_version: ModelVersion) -> None:
    """An audit takes the place of one of the same model. Raises `cannot_supersede`."""
    if earlier.model_version.model_id != model_version.model_id:
        raise DomainError(
            "cannot_supersede",
            f"{earlier.pk} is an audit of {earlier.model_version.model.name}, not of {model_version.model.name}. Name "
            "an audit of the same model.",
        )


@transaction.atomic
def request_cancel(*, principal: Principal, audit: Audit) -> None:
    """Stop an audit: what is queued never starts, what runs is ended by its supervisor at the next heartbeat."""
    require(principal, "submit", audit.model_version.model.team_id)
    transition(
        audit, "status", source=[AuditStatus.QUEUED, AuditStatus.RUNNING], target=AuditStatus.CANCELLING
    )
    audit.runs.filter(status=RunStatus.QUEUED).update(
        status=RunStatus.CANCELLED,
        reason_code="cancelled",
        reason="Cancelled on request.",
        finished_at=timezone.now(),
    )
    finish_cancel(audit)
    send_on_commit(WAKE)


def finish_cancel(audit: Audit) -> bool:
    """Close a cancelling audit once nothing of it runs any more."""
    return bool(
        Audit.objects.filter(pk=audit.pk, status=AuditStatus.CANCELLING)
        .exclude(runs__status__in=LIVE)
        .update(status=AuditStatus.CANCELLED, finished_at=timezone.now())
    )


def complete(audit: Audit) -> None:
    """Close a running audit whose runs have all ended, and judge it. To be called in a transaction."""
    transition(
        audit,
        "status",
        source=[AuditStatus.QUEUED, AuditStatus.RUNNING],
        target=AuditStatus.COMPLETED,
        finished_at=timezone.now(),
    )
    if audit.runs.filter(status__in=LIVE).exists():
        raise conflict("runs_still_live", f"Audit {audit.pk} still has runs under way.")
    judging.judge(audit)
