"""The Celery application: `celery -A workers.app worker -Q work`. Defines the periodic tasks."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditor.settings")
django.setup()

from auditor.core.queue import HOUSEKEEPING, WORK  # noqa: E402  # needs Django to be set up
from auditor.core.queue import celery as app  # noqa: E402  # likewise

app.conf.task_routes = {"workers.wake": {"queue": WORK}, "workers.housekeep": {"queue": HOUSEKEEPING}}
app.conf.beat_schedule = {
    "housekeep": {"task": "workers.housekeep", "schedule": 5.0, "options": {"expires": 4}}
}
app.conf.include = ["workers.tasks"]
