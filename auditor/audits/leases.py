"""Who works on which run: claim, heartbeat, finish, fail, reap. Every change is one conditional UPDATE.

The row is the truth and a message only a wake-up, so the same wake-up delivered twice, late or
never does no harm. A run is fenced by its owner: a worker that lost its lease can write nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from auditor.audits.models import LIVE, Artifact, Audit, AuditStatus, EvaluationRun, Metric, RunStatus
from auditor.core.errors import conflict
from evaluations import catalogue
from evaluations.spec import EvaluationResult, ModelFormat


@dataclass(frozen=True)
class StoredFile:
    """A file of a run that already lies in the artefact store."""

    kind: str
    name: str
    media_type: str
    sha256: str
    size: int


def _lease() -> object:
    return Now() + timedelta(seconds=settings.LEASE_SECONDS)


@transaction.atomic
def claim(owner: str) -> EvaluationRun | None:
    """Take the oldest queued run, or None. Two workers never get the same one.

    Of a model that is served somewhere one run is under way at a time: the next finds the answers of the one before
    it, and the service is not asked faster than its description says.
    """
    with connection.cursor() as cursor:  # so that two workers cannot both find none under way
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('runs.claim'))")
    asked = EvaluationRun.objects.filter(
        status=RunStatus.RUNNING, audit__model_version__format=ModelFormat.ENDPOINT
    )
    run = (
        EvaluationRun.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(status=RunStatus.QUEUED, audit__status__in=[AuditStatus.QUEUED, AuditStatus.RUNNING])
        .exclude(audit__model_version__in=asked.values("audit__model_version"))
        .order_by("created_at", "position")
        .first()
    )
    if run is None:
        return None
    EvaluationRun.objects.filter(pk=run.pk).update(
        status=RunStatus.RUNNING, owner=owner, started_at=Now(), lease_expires_at=_lease()
    )
    Audit.objects.filter(pk=run.audit_id, status=AuditStatus.QUEUED).update(
        status=AuditStatus.RUNNING, started_at=timezone.now()
    )
    run.refresh_from_db()
    return run


def _held(run: EvaluationRun, owner: str) -> QuerySet[EvaluationRun]:
    return EvaluationRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING, owner=owner)


def heartbeat(
    run: EvaluationRun,
    owner: str,
    *,
    done: int,
    total: int,
    message: str,
    log_tail: str,
    isolation: dict[str, str],
) -> bool:
    """Renew the lease and publish the progress. False: the run is no longer ours, or is to be cancelled."""
    renewed = _held(run, owner).update(
        lease_expires_at=_lease(),
        progress_done=done,
        progress_total=total,
        progress_message=message[:200],
        log_tail=log_tail,
        isolation=isolation,
    )
    return bool(renewed) and not Audit.objects.filter(pk=run.audit_id, status=AuditStatus.CANCELLING).exists()


def note_spent(run: EvaluationRun, owner: str, spent: dict[str, object]) -> None:
    """What the run's broker counted, whether or not the run gives a result."""
    _held(run, owner).update(spent=spent)


@transaction.atomic
def succeed(
    run: EvaluationRun,
    owner: str,
    result: EvaluationResult,
    files: Sequence[StoredFile],
    *,
    device: str,
    isolation: dict[str, str],
) -> None:
    """Store a validated result and close the run, all or nothing; `lease_lost` where it is another's by now."""
    specs = {spec.name: spec for spec in catalogue.get(run.evaluation).metrics}
    closed = _held(run, owner).update(
        status=RunStatus.SUCCEEDED,
        lease_expires_at=None,
        finished_at=Now(),
        device=device,
        isolation=isolation,
        environment=result.environment,
        coverage=result.coverage.model_dump(),
        cost=result.cost.model_dump(),
        warnings=list(result.warnings),
    )
    if not closed:
        raise conflict("lease_lost", f"Run {run.pk} is no longer held by {owner}; its result was dropped.")
    Metric.objects.bulk_create(
        Metric(
            run=run,
            name=metric.name,
            slice=metric.slice,
            value=metric.value,
            ci_low=metric.interval.low if metric.interval else None,
            ci_high=metric.interval.high if metric.interval else None,
            interval_method=metric.interval.method if metric.interval else "",
            interval_level=metric.interval.level if metric.interval else None,
            interval_sides=metric.interval.sides if metric.interval else None,
            n=metric.n,
            n_effective=metric.n_effective,
            unit=specs[metric.name].unit,
            direction=specs[metric.name].direction,
            status=metric.status,
            reason=metric.reason,
        )
        for metric in result.metrics
    )
    Artifact.objects.bulk_create(
        Artifact(run=run, kind=f.kind, name=f.name, media_type=f.media_type, sha256=f.sha256, size=f.size)
        for f in files
    )


def fail(
    run: EvaluationRun,
    owner: str,
    status: RunStatus,
    *,
    code: str,
    reason: str,
    isolation: dict[str, str],
    log_tail: str = "",
) -> bool:
    """Close a run that gave no result. False where it was not ours any more."""
    return bool(
        _held(run, owner).update(
            status=status,
            reason_code=code[:60],
            reason=reason,
            lease_expires_at=None,
            finished_at=Now(),
            isolation=isolation,
            log_tail=log_tail,
        )
    )


@transaction.atomic
def reap() -> list[str]:
    """Mark runs whose lease has expired as lost, and queue the next attempt. Returns their ids."""
    expired = list(
        EvaluationRun.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(status=RunStatus.RUNNING, lease_expires_at__lt=Now())
        .select_related("audit")
    )
    for run in expired:
        EvaluationRun.objects.filter(pk=run.pk).update(
            status=RunStatus.LOST,
            reason_code="worker_lost",
            reason="The worker stopped answering; its lease ran out.",
            lease_expires_at=None,
            finished_at=Now(),
        )
        if run.attempt < settings.MAX_ATTEMPTS and run.audit.status == AuditStatus.RUNNING:
            EvaluationRun.objects.create(
                audit=run.audit,
                item=run.item,
                position=run.position,
                evaluation=run.evaluation,
                evaluation_version=run.evaluation_version,
                params=run.params,
                attempt=run.attempt + 1,
            )
    return [run.pk for run in expired]


def anything_queued() -> bool:
    """Whether a wake-up may have been lost."""
    return EvaluationRun.objects.filter(
        status=RunStatus.QUEUED, audit__status__in=[AuditStatus.QUEUED, AuditStatus.RUNNING]
    ).exists()


def ready_to_settle() -> list[Audit]:
    """Audits of which nothing runs any more, but that are not closed."""
    return list(
        Audit.objects.filter(
            status__in=[AuditStatus.QUEUED, AuditStatus.RUNNING, AuditStatus.CANCELLING]
        ).exclude(runs__status__in=LIVE)
    )
