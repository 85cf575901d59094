"""The few tasks. Each is safe to run twice, late, or at the same time as another."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid

from celery import shared_task
from django.db import connection, transaction

from auditor.api import idempotency
from auditor.audits import leases
from auditor.audits import services as audits
from auditor.audits.models import Audit, AuditStatus
from auditor.core.errors import DomainError
from auditor.core.queue import TASKS, WAKE, celery
from auditor.registry import services as registry
from auditor.reports import services as reports
from workers import scores, supervise

log = logging.getLogger(__name__)
# One supervisor, one owner: a lease is never taken for that of another life of the same process id.
_LIFE = uuid.uuid4().hex[:8]


def owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident() % 10_000}:{_LIFE}"


@shared_task(name=WAKE)
def wake() -> None:
    """Work until nothing can be claimed: the queue hands out one message per notification."""
    me = owner()
    while (run := leases.claim(me)) is not None:
        supervise.supervise(run, me)
        settle(run.audit_id)


@shared_task(name="workers.housekeep")
def housekeep() -> None:
    """Reap expired leases, wake workers for what is queued, and close what a killed worker left open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('workers.housekeep'))")
        if not cursor.fetchone()[0]:  # another housekeeper is at it
            return
    try:
        lost = leases.reap()
        if lost:
            log.warning("reaped %s", ", ".join(lost))
        for audit in leases.ready_to_settle():
            settle(audit.pk)
        registry.expire_uploads()
        idempotency.forget_old()
        supervise.sweep()
        scores.sweep_when_due()
        if leases.anything_queued():
            celery.send_task(WAKE, queue=TASKS[WAKE], expires=3600)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtext('workers.housekeep'))")


def settle(audit_id: str) -> None:
    """Once nothing of an audit runs any more: complete it, judge it and issue its report cards, all or nothing."""
    audit = Audit.objects.get(pk=audit_id)
    if audit.status == AuditStatus.CANCELLING:
        audits.finish_cancel(audit)
        return
    if audit.pk not in {a.pk for a in leases.ready_to_settle()}:
        return
    try:
        with transaction.atomic():
            audits.complete(audit)
            reports.issue(audit)
    except DomainError as error:
        if error.code not in {"invalid_transition", "runs_still_live"}:  # another worker was first
            raise
