"""One run's life: start the sandboxed child, keep the lease, collect, judge in a second child, store."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import close_old_connections
from pydantic import ValidationError

from auditor.audits import leases
from auditor.audits.models import EvaluationRun, RunStatus
from auditor.core import store
from auditor.core.errors import DomainError
from evaluations import catalogue
from evaluations.spec import DataRef, EvaluationResult, Failure, Limits, ModelRef, Progress, RunRequest
from workers.isolation import collect, sandbox

POLL_SECONDS = 0.2
LOG_TAIL_BYTES = 8 * 1024
RESULT_BYTES = 32 * 2**20
SHARDS_BYTES = 2 * 2**30


@dataclass
class Stopped(Exception):
    """The run ended without a result: which status it gets, and what people are told."""

    status: RunStatus
    code: str
    reason: str


def supervise(run: EvaluationRun, owner: str) -> None:
    """Carry a claimed run to its end. Whatever happens, the row is closed or its lease runs out."""
    folder = settings.RUNS_DIR / run.pk
    isolation: dict[str, str] = {}
    try:
        request = request_for(run)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shards = _measure(run, owner, request, folder, isolation)
        result, device = _judge(run, owner, request, folder, shards, isolation)
        files = _store(result, shards)
        close_old_connections()
        leases.succeed(run, owner, result, files, device=device, isolation=isolation)
    except Stopped as stop:
        leases.fail(run, owner, stop.status, code=stop.code, reason=stop.reason, isolation=isolation)
    except DomainError as error:  # a full disk, a lost lease
        leases.fail(run, owner, RunStatus.ERRORED, code=error.code, reason=error.message, isolation=isolation)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def request_for(run: EvaluationRun) -> RunRequest:
    """What the child is told: digests, paths, parameters, limits. No secret is in it."""
    version, data = run.audit.model_version, run.audit.dataset_version
    return RunRequest(
        run_id=run.pk,
        evaluation=run.evaluation,
        params=run.params,
        model=ModelRef(
            path=str(store.model_folder(version.digest)),
            digest=version.digest,
            modality=version.model.modality,
            format=version.format,
            labels=tuple(version.labels),
            languages=tuple(version.model.languages),
        ),
        data=DataRef(
            path=str(store.dataset_file(data.digest, data.format)),
            digest=data.digest,
            format=data.format,
            roles=data.roles,
            favourable_label=data.favourable_label or None,
        ),
        seed=run.audit.seed,
        resources=str(settings.RESOURCES_DIR),
        limits=Limits(wall_seconds=settings.RUN_WALL_SECONDS, memory_bytes=settings.RUN_MEMORY_BYTES),
    )
