"""Real Celery workers on the tests' database: what survives kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from auditor.audits.models import Audit, AuditStatus, EvaluationRun, Metric, RunStatus
from auditor.core.queue import celery
from auditor.reports.models import ReportCard
from workers import launch

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
PATIENCE = 180  # seconds: a bound for a machine in trouble, not what is waited for


@dataclass
class Workers:
    """Workers of the test database, with queues of their own."""

    log: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running += launch.start(launch.worker_commands(), log)

    def kill(self) -> None:
        """Workers and housekeeping alike, without a word."""
        for process in self.running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.running.clear()

    def wait_until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            ended = [process.args for process in self.running if process.poll() is not None]
            assert not ended, f"ended by itself: {ended}\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}\n{self.log.read_text()}"
            time.sleep(0.1)  # other processes work; their rows are all there is to look at


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Workers]:
    """None runs yet; those that are started end with the test."""
    db = connection.settings_dict
    url = f"postgresql://{db['USER']}:{db['PASSWORD']}@{db['HOST']}:{db['PORT']}/{db['NAME']}"
    prefix = f"t{os.getpid()}_{time.monotonic_ns() % 10**6}_"
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("QUEUE_PREFIX", prefix)
    monkeypatch.setenv("LEASE_SECONDS", "3")
    monkeypatch.setitem(celery.conf.broker_transport_options, "queue_name_prefix", prefix)
    monkeypatch.setitem(celery.conf.broker_transport_options, "conn_string", url)
    monkeypatch.setattr(celery.amqp, "_producer_pool", None)  # it leads where an earlier test sent something
    made = Workers(tmp_path / "workers.log")
    yield made
    launch.stop(made.running)


def completed(audit: Audit) -> bool:
    return Audit.objects.get(pk=audit.pk).status == AuditStatus.COMPLETED


def metrics(audit: Audit) -> list[tuple[Any, ...]]:
    found = Metric.objects.filter(run__audit=audit, run__status=RunStatus.SUCCEEDED)
    return sorted(found.values_list("run__item", "name", "slice", "value", "ci_low", "ci_high", "n"))


def test_an_audit_survives_the_kill_of_its_worker_with_the_same_metrics(
    workers: Workers,
    small_audit: Audit,
    as_engineer: Any,
    small_version: Any,
    small_data: Any,
    release_gate: Any,
) -> None:
    from auditor.audits import services

    workers.start()
    workers.wait_until(
        lambda: EvaluationRun.objects.filter(status=RunStatus.RUNNING).exists(), "a run to start"
    )
    workers.kill()
    interrupted = EvaluationRun.objects.get(status=RunStatus.RUNNING)

    workers.start()
    workers.wait_until(lambda: completed(small_audit), "the audit to complete")
    attempts = small_audit.runs.filter(item=interrupted.item).order_by("attempt")
    assert [(a.attempt, a.status) for a in attempts] == [(1, RunStatus.LOST), (2, RunStatus.SUCCEEDED)]
    assert small_audit.runs.exclude(item=interrupted.item).filter(attempt__gt=1).count() == 0
    assert ReportCard.objects.filter(audit=small_audit).count() == 1

    undisturbed = services.submit(
        principal=as_engineer,
        model_version=small_version,
        dataset_version=small_data,
        policy_versions=[release_gate],
    )
    workers.wait_until(lambda: completed(undisturbed), "the second audit to complete")
    assert metrics(small_audit) == metrics(undisturbed)
    assert len(metrics(undisturbed)) > 10
    assert not any(settings.RUNS_DIR.iterdir())


def test_a_lost_message_only_delays_the_work(workers: Workers, small_audit: Audit) -> None:
    with connection.cursor() as cursor:  # whatever was sent is gone
        cursor.execute("SELECT queue_name FROM pgmq.list_queues()")
        for (name,) in cursor.fetchall():
            cursor.execute("SELECT pgmq.purge_queue(%s)", [name])
    workers.start()
    workers.wait_until(lambda: completed(small_audit), "the audit to complete")
    assert set(small_audit.runs.values_list("status", "attempt")) == {(RunStatus.SUCCEEDED, 1)}
