"""Submitting, cancelling and completing audits. How runs are leased is in leases.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.utils import timezone

from auditor.audits import judging
from auditor.audits.facts import facts_of
from auditor.audits.models import LIVE, Audit, AuditStatus, EvaluationRun, RunStatus
from auditor.core.access import Principal, require
from auditor.core.canonical import digest_of
from auditor.core.errors import DomainError, conflict
from auditor.core.queue import WAKE, send_on_commit
from auditor.core.states import transition
from auditor.policies.document import Facts, SuiteItem
from auditor.policies.models import PolicyVersion
from auditor.policies.pins import pins, seed_of
from auditor.policies.services import document
from auditor.registry.models import DatasetVersion, ModelVersion
from evaluations import catalogue
from evaluations.spec import Role


@dataclass(frozen=True)
class PlannedRun:
    """One evaluation that an audit will run, or why it cannot."""

    item: str
    evaluation: str
    title: str
    version: str
    params: dict[str, object]
    refusal: str = ""


@dataclass(frozen=True)
class AuditPlan:
    """What an audit would do, known before it starts."""

    items: tuple[PlannedRun, ...]
    seed: int
    digest: str


def plan(
    *, model_version: ModelVersion, dataset_version: DatasetVersion, policy_versions: Sequence[PolicyVersion]
) -> AuditPlan:
    """The runs that the policies demand of this model on these data; what several demand is run once."""
    if not policy_versions:
        raise DomainError("policy_required", "Name at least one policy, for example release-gate.")
    facts = facts_of(model_version, dataset_version)
    if Role.TARGET not in facts.roles:
        raise DomainError(
            "unusable_data",
            f"{dataset_version} has no column with the role `target`. Register a version that names it.",
        )
    planned: dict[str, PlannedRun] = {}
    for version in policy_versions:
        for entry in document(version).suite:
            if not entry.applies_when.holds(facts):
                continue
            run = _planned(entry, model_version, dataset_version, facts)
            before = planned.get(entry.item)
            if before and (before.evaluation, before.params) != (run.evaluation, run.params):
                raise conflict(
                    "suite_conflict",
                    f"Two of the policies define the suite item {entry.item!r} differently. "
                    "Rename it in one of them, or audit under one policy at a time.",
                )
            planned[entry.item] = run
    suite = [[p.item, p.evaluation, p.version, p.params] for p in planned.values()]
    pinned = {
        "model_digest": model_version.digest,
        "data_digest": dataset_version.digest,
        "roles": dataset_version.roles,
        "favourable_label": dataset_version.favourable_label,
        "suite": suite,
    }
    seed = seed_of(**pinned)
    everything = {**pins(**pinned), "policies": sorted(v.digest for v in policy_versions), "seed": seed}
    return AuditPlan(items=tuple(planned.values()), seed=seed, digest=digest_of(everything))


def _planned(
    entry: SuiteItem, model_version: ModelVersion, dataset_version: DatasetVersion, facts: Facts
) -> PlannedRun:
    evaluation = catalogue.get(entry.evaluation)
    requires = evaluation.requires
    refusal = ""
    if facts.modality not in requires.modalities:
        refusal = f"{evaluation.name} does not support {facts.modality} models yet."
    elif missing := [str(r) for r in requires.roles if r not in facts.roles]:
        refusal = f"{evaluation.name} needs a column with the role {' and '.join(missing)}."
    elif dataset_version.rows < requires.min_examples:
        refusal = (
            f"{evaluation.name} needs {requires.min_examples} rows; the data have {dataset_version.rows}."
        )
    elif (
        requires.languages
        and dataset_version.languages
        and not {tag.split("-")[0] for tag in dataset_version.languages} & set(requires.languages)
    ):
        refusal = f"{evaluation.name} knows {', '.join(requires.languages)} only."
    params = evaluation.Params.model_validate(entry.params).model_dump(mode="json")
    return PlannedRun(entry.item, evaluation.name, evaluation.title, evaluation.version, params, refusal)


@transaction.atomic
def submit(
    *,
    principal: Principal,
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
    policy_versions: Sequence[PolicyVersion],
    supersedes: Audit | None = None,
) -> Audit:
    """Freeze every digest, queue the runs and wake the workers once this is committed."""
    require(principal, "submit", model_version.model.team_id)
    if dataset_version.dataset.team_id not in principal.roles:
        raise DomainError(
            "not_found", f"There is no data set “{dataset_version}” that you can see.", status=404
        )
    planned = plan(
        model_version=model_version, dataset_version=dataset_version, policy_versions=policy_versions
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
