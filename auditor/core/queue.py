"""The Celery instance, and how the service asks for work: by task name, after the transaction commits."""

from __future__ import annotations

from typing import Any

from celery import Celery
from django.db import transaction

celery = Celery("auditor")
celery.config_from_object("django.conf:settings", namespace="CELERY")

WORK = "work"  # runs of evaluations
HOUSEKEEPING = (
    "housekeeping"  # sending again and reaping; has a worker of its own, or a busy one could never reap
)

# Names of the tasks that the service sends. tests/contracts asserts that the worker defines each.
WAKE = "workers.wake"
TASKS = {WAKE: WORK}


def send_on_commit(name: str, *args: Any) -> None:
    """Send a wake-up once the surrounding transaction has committed. Losing it delays work, never loses it."""
    transaction.on_commit(
        lambda: celery.send_task(name, args=args, queue=TASKS[name], expires=3600), robust=True
    )
