"""One run's life: start the sandboxed child, keep the lease, collect, judge in a second child, store."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import OperationalError, connection
from pydantic import ValidationError

from auditor.audits import leases
from auditor.audits.models import EvaluationRun, RunStatus
from auditor.core import store
from auditor.core.errors import DomainError
from evaluations import catalogue
from evaluations.spec import DataRef, EvaluationResult, Failure, Limits, ModelRef, Progress, RunRequest
from workers.isolation import collect, logs, sandbox

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
LOG_TAIL = 8000  # characters
RESULT_BYTES = 32 * 2**20
TYPED_FAILURE = 3  # exit status of `python -m evaluations` that comes with failure.json


@dataclass
class Stopped(Exception):
    """The run ended without a result: which status it gets, and what people are told."""

    status: RunStatus
    code: str
    reason: str
    log: str = ""


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
        leases.succeed(run, owner, result, files, device=device, isolation=isolation)
    except Stopped as stop:
        leases.fail(
            run,
            owner,
            stop.status,
            code=stop.code,
            reason=stop.reason,
            isolation=isolation,
            log_tail=stop.log,
        )
    except DomainError as error:  # a full artefact folder, a lost lease
        leases.fail(run, owner, RunStatus.ERRORED, code=error.code, reason=error.message, isolation=isolation)
    except collect.StorageFull as error:
        leases.fail(run, owner, RunStatus.ERRORED, code="disk_full", reason=str(error), isolation=isolation)
    except (collect.CollectError, sandbox.SandboxError) as error:
        leases.fail(run, owner, RunStatus.ERRORED, code="sandbox", reason=str(error), isolation=isolation)
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


def _measure(
    run: EvaluationRun, owner: str, request: RunRequest, folder: Path, isolation: dict[str, str]
) -> Path:
    """Run the child that loads the model, and take over the shards that it leaves. Returns their folder."""
    out = folder / "out"
    child = _start("run", request, folder, out, read=[Path(request.model.path), Path(request.data.path)])
    isolation.update(child.level.as_dict())
    _check_end(_wait(child, run, owner, out, isolation), out, child)
    shards = folder / "shards"
    collect.copy_files(out, shards, caps=collect.Caps())
    return shards


def _judge(
    run: EvaluationRun, owner: str, request: RunRequest, folder: Path, shards: Path, isolation: dict[str, str]
) -> tuple[EvaluationResult, str]:
    """Run the child that computes the metrics. It never loads the model; its result is validated here."""
    out = folder / "merged"
    child = _start(
        "merge", request, folder, out, read=[shards, Path(request.data.path)], extra=["--shards", str(shards)]
    )
    _check_end(_wait(child, run, owner, out, isolation), out, child)
    try:
        result = EvaluationResult.model_validate_json(
            collect.read_file(out, "result.json", max_bytes=RESULT_BYTES)
        )
    except ValidationError as error:
        detail = error.errors()[0]["msg"]
        raise Stopped(RunStatus.ERRORED, "invalid_result", f"The result is not valid: {detail}.") from error
    known = {spec.name for spec in catalogue.get(run.evaluation).metrics}
    unknown = sorted({metric.name for metric in result.metrics} - known)
    told = (result.evaluation, result.model_digest, result.data_digest, result.seed)
    asked = (request.evaluation, request.model.digest, request.data.digest, request.seed)
    if unknown or told != asked:
        detail = f"unknown metrics {unknown}" if unknown else "it belongs to another request"
        raise Stopped(RunStatus.ERRORED, "invalid_result", f"The result is not valid: {detail}.")
    return result, result.environment.get("device", "cpu")


def _start(
    command: str,
    request: RunRequest,
    folder: Path,
    out: Path,
    *,
    read: list[Path],
    extra: list[str] | None = None,
) -> sandbox.Child:
    asked = folder / "request.json"
    asked.write_text(request.model_dump_json(by_alias=True))
    asked.chmod(0o644)  # the child may have an account of its own
    argv = [sys.executable, "-m", "evaluations", command, str(asked), *(extra or []), "--out", str(out)]
    limits = sandbox.Limits(
        memory_bytes=request.limits.memory_bytes,
        file_bytes=request.limits.file_bytes,
        wall_seconds=request.limits.wall_seconds,
        threads=max(1, (os.cpu_count() or 1) // settings.WORKER_CONCURRENCY),
    )
    return sandbox.launch(argv, read=[asked, Path(request.resources), *read], write=out, limits=limits)


def _wait(
    child: sandbox.Child, run: EvaluationRun, owner: str, out: Path, isolation: dict[str, str]
) -> sandbox.Ended:
    """Keep the lease while the child works; end it on a cancel or a lost lease. Its limits end it by themselves."""
    beat_every = min(1.0, settings.LEASE_SECONDS / 5)
    next_beat = 0.0
    try:
        while (ended := child.poll()) is None:
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + beat_every
                _beat(child, run, owner, out, isolation)
            time.sleep(POLL_SECONDS)  # the child is another process: there is nothing else to wait on
        return ended
    finally:
        child.terminate()


def _beat(child: sandbox.Child, run: EvaluationRun, owner: str, out: Path, isolation: dict[str, str]) -> None:
    progress = _progress(out)
    try:
        ours = leases.heartbeat(
            run,
            owner,
            done=progress.done,
            total=progress.total,
            message=progress.message,
            log_tail=_printable(logs.tail(child.stderr))[-LOG_TAIL:],
            isolation=isolation,
        )
    except (
        OperationalError
    ) as error:  # a database that restarts ends no run: whether it is still ours, the lease says
        log.warning("heartbeat of %s: %s", run.pk, error)
        connection.close()
        return
    if not ours:
        raise Stopped(RunStatus.CANCELLED, "cancelled", "Cancelled on request.")


def _progress(out: Path) -> Progress:
    """The last whole line of the child's progress file; nothing it writes there can do more than look odd."""
    try:
        lines = collect.read_file(out, "progress.jsonl", max_bytes=4 * 2**20).splitlines()
        return Progress.model_validate_json(lines[-1])
    except (collect.CollectError, IndexError, ValidationError):
        return Progress(done=0, total=0)


STATUS_OF = {
    sandbox.Reason.WALL_TIME: (
        RunStatus.TIMED_OUT,
        "time_limit",
        "Raise RUN_WALL_SECONDS, or use fewer examples.",
    ),
    sandbox.Reason.CPU_TIME: (RunStatus.TIMED_OUT, "time_limit", "Use fewer examples."),
    sandbox.Reason.MEMORY: (
        RunStatus.ERRORED,
        "out_of_memory",
        "Raise RUN_MEMORY_BYTES, or audit a smaller model.",
    ),
    sandbox.Reason.FILE_SIZE: (RunStatus.ERRORED, "output_too_large", "Use fewer examples."),
    sandbox.Reason.OUTPUT_SIZE: (RunStatus.ERRORED, "output_too_large", "Use fewer examples."),
}


def _check_end(ended: sandbox.Ended, out: Path, child: sandbox.Child) -> None:
    """Turn whatever ended the child into a typed status with a reason that people can act on."""
    if ended.reason is sandbox.Reason.FINISHED:
        return
    log = _printable(logs.tail(child.stderr))[-LOG_TAIL:]
    if ended.reason in STATUS_OF:
        status, code, remedy = STATUS_OF[ended.reason]
        raise Stopped(status, code, f"{ended.message} {remedy}", log)
    if ended.returncode == TYPED_FAILURE:
        with suppress(collect.CollectError, ValidationError):
            failure = Failure.model_validate_json(collect.read_file(out, "failure.json", max_bytes=64 * 1024))
            status = RunStatus.SKIPPED if failure.skipped else RunStatus.ERRORED
            raise Stopped(status, _printable(failure.code)[:60], _printable(failure.message)[:2000], log)
    said = log.strip().splitlines()
    last = f" It last said: {said[-1][:500]}" if said else ""
    raise Stopped(RunStatus.ERRORED, "crashed", f"{ended.message}{last} Its log is on the audit page.", log)


def _printable(text: str) -> str:
    """Hostile output made safe to store and show: PostgreSQL takes no NUL, and control characters fool terminals."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


def _store(result: EvaluationResult, shards: Path) -> list[leases.StoredFile]:
    """Put charts, examples and records into the artefact store."""
    files = []

    def keep(kind: str, name: str, media_type: str, data: bytes) -> None:
        files.append(leases.StoredFile(kind, name, media_type, store.put(data), len(data)))

    for chart in result.charts:
        keep("chart", chart.name, "application/json", chart.model_dump_json().encode())
    if result.examples:
        examples = json.dumps([e.model_dump(mode="json") for e in result.examples]).encode()
        keep("examples", "examples", "application/json", examples)
    for path in sorted(shards.glob("shard-*.parquet")):
        keep("records", path.name, "application/vnd.apache.parquet", path.read_bytes())
    return files


def sweep() -> None:
    """Remove the folders of runs that no longer run: a killed worker cannot."""
    if not settings.RUNS_DIR.is_dir():
        return
    running = set(EvaluationRun.objects.filter(status=RunStatus.RUNNING).values_list("pk", flat=True))
    for folder in settings.RUNS_DIR.iterdir():
        if folder.name not in running:
            shutil.rmtree(folder, ignore_errors=True)
