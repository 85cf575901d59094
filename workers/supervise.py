"""One run's life: start the sandboxed children, keep the lease, collect, judge in another child, store."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import DataError, IntegrityError, OperationalError, connection
from pydantic import ValidationError

from auditor.audits import leases
from auditor.audits.models import EvaluationRun, RunStatus
from auditor.core import store
from auditor.core.errors import DomainError
from evaluations import catalogue
from evaluations.engine.transport import BROKER_FD
from evaluations.spec import EvaluationResult, Failure, Progress, RunRequest
from workers import scores
from workers.egress.broker import Broker
from workers.egress.opening import broker_for
from workers.egress.purse import Amount
from workers.isolation import collect, logs, sandbox
from workers.passes import Pass, passes, request_for

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
LOG_TAIL = 8000  # characters
RESULT_BYTES = 32 * 2**20
ATTACKS, ATTACKS_BYTES = "artefacts/attacks.parquet", 64 * 2**20
PARQUET = b"PAR1"  # a file begins and ends with it
MERGED = "merged"  # the folder of the child that computes the metrics
TYPED_FAILURE = 3  # exit status of `python -m evaluations` that comes with failure.json


@dataclass
class Stopped(Exception):
    """The run ended without a result: which status it gets, and what people are told."""

    status: RunStatus
    code: str
    reason: str
    log: str = ""


@dataclass
class Life:
    """A run under way: who holds it, where its files lie, what is learned of it."""

    run: EvaluationRun
    owner: str
    folder: Path
    isolation: dict[str, str] = field(default_factory=dict)
    spent: Amount = field(default_factory=Amount)  # at endpoints


def supervise(run: EvaluationRun, owner: str) -> None:
    """Carry a claimed run to its end. Whatever happens, the row is closed or its lease runs out."""
    life = Life(run, owner, settings.RUNS_DIR / run.pk)
    fail = partial(leases.fail, run, owner, isolation=life.isolation)
    try:
        for earlier in run.audit.runs.filter(item=run.item, attempt__lt=run.attempt):
            _salvage(earlier)
        request = request_for(run)
        shutil.rmtree(life.folder, ignore_errors=True)
        life.folder.mkdir(parents=True)
        shards: dict[str, Path] = {}
        for each in passes(run, request):
            shards[each.option] = _measure(life, each, shards)
        result, device = _judge(life, request, shards)
        attacks, fault = _attacks(life.folder / MERGED)
        if fault:
            result = result.model_copy(update={"warnings": (*result.warnings, fault)})
        files = _store(result, shards["--shards"], attacks)
        leases.succeed(run, owner, result, files, device=device, isolation=life.isolation)
    except Stopped as stop:
        fail(stop.status, code=stop.code, reason=stop.reason, log_tail=stop.log)
    except DomainError as error:  # a full artefact folder, a lost lease, a credential for another address
        fail(RunStatus.ERRORED, code=error.code, reason=error.message)
    except collect.StorageFull as error:
        fail(RunStatus.ERRORED, code="disk_full", reason=str(error))
    except (collect.CollectError, sandbox.SandboxError) as error:
        fail(RunStatus.ERRORED, code="sandbox", reason=str(error))
    except (DataError, IntegrityError) as error:
        said = _printable(str(error)).strip().partition("\n")[0][:300]
        fail(RunStatus.ERRORED, code="invalid_result", reason=f"What the run found cannot be stored: {said}.")
    finally:
        shutil.rmtree(life.folder, ignore_errors=True)


def _measure(life: Life, each: Pass, earlier: dict[str, Path]) -> Path:
    """Run a child that loads a model, and take over the shards that it leaves. Returns their folder."""
    out, request = life.folder / each.name, each.request
    judged = [earlier[each.judging]] if each.judging else []
    extra = ["--judging", *map(str, judged)] if judged else []
    read = [store.model_folder(each.version.digest), Path(request.data.path), Path(request.scores), *judged]
    with broker_for(life.run.audit, each.version) as broker:
        try:
            child = _start("run", request, life.folder, out, read=read, extra=extra, broker=broker)
            life.isolation.update(child.level.as_dict())
            ended = _wait(child, life, out)
        finally:  # also of a run that failed: another attempt need not ask again
            scores.keep(out, life.run.audit, each.version)
            if broker:
                life.spent += broker.stop()
                leases.note_spent(life.run, life.owner, {**vars(life.spent), "currency": broker.currency})
    try:
        _check_end(ended, out, child)
    except Stopped as stop:
        if stop.code == "endpoint_changed":
            scores.forget(life.run.audit, each.version)
        raise
    shards = out.with_name(f"{each.name}-shards")
    collect.copy_files(out, shards, caps=collect.Caps())
    return shards


def _judge(life: Life, request: RunRequest, shards: dict[str, Path]) -> tuple[EvaluationResult, str]:
    """Run the child that computes the metrics. It never loads the model; its result is validated here."""
    out = life.folder / MERGED
    told_where = [word for option, path in shards.items() for word in (option, str(path))]
    read = [*shards.values(), Path(request.data.path)]
    child = _start("merge", request, life.folder, out, read=read, extra=told_where)
    _check_end(_wait(child, life, out), out, child)
    try:
        result = EvaluationResult.model_validate_json(
            collect.read_file(out, "result.json", max_bytes=RESULT_BYTES)
        )
    except ValidationError as error:
        detail = error.errors()[0]["msg"]
        raise Stopped(RunStatus.ERRORED, "invalid_result", f"The result is not valid: {detail}.") from error
    known = {spec.name for spec in catalogue.get(life.run.evaluation).metrics}
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
    broker: Broker | None = None,
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
    return sandbox.launch(
        argv,
        read=[asked, Path(request.resources), *read],
        write=out,
        limits=limits,
        keep=[broker.child_end.fileno()] if broker else [],
        env_extra={BROKER_FD: str(broker.child_end.fileno())} if broker else {},
    )


def _wait(child: sandbox.Child, life: Life, out: Path) -> sandbox.Ended:
    """Keep the lease while the child works; end it on a cancel or a lost lease. Its limits end it by themselves."""
    beat_every = min(1.0, settings.LEASE_SECONDS / 5)
    next_beat = 0.0
    try:
        while (ended := child.poll()) is None:
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + beat_every
                _beat(child, life, out)
            time.sleep(POLL_SECONDS)  # the child is another process: there is nothing else to wait on
        return ended
    finally:
        child.terminate()


def _beat(child: sandbox.Child, life: Life, out: Path) -> None:
    progress = _progress(out)
    try:
        ours = leases.heartbeat(
            life.run,
            life.owner,
            done=progress.done,
            total=progress.total,
            message=_printable(progress.message),
            log_tail=_printable(logs.tail(child.stderr))[-LOG_TAIL:],
            isolation=life.isolation,
        )
    except (
        OperationalError
    ) as error:  # a database that restarts ends no run: whether it is still ours, the lease says
        log.warning("heartbeat of %s: %s", life.run.pk, error)
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


def _attacks(out: Path) -> tuple[bytes, str]:
    """The successful attacks that an evaluation left, and what to warn of where they cannot be kept.

    They are copied here, never read; the figures of the run do not depend on them.
    """
    if not os.path.lexists(out / ATTACKS):
        return b"", ""
    try:
        data = collect.read_file(out, ATTACKS, max_bytes=ATTACKS_BYTES)
    except collect.CollectError as error:
        return b"", f"The successful attacks were not kept. {error}"
    if len(data) < 12 or not (data.startswith(PARQUET) and data.endswith(PARQUET)):
        return b"", "The successful attacks were not kept: the file is no Parquet."
    return data, ""


def _store(result: EvaluationResult, shards: Path, attacks: bytes = b"") -> list[leases.StoredFile]:
    """Put charts, examples, attacks and records into the artefact store."""
    files = []

    def keep(kind: str, name: str, media_type: str, data: bytes) -> None:
        files.append(leases.StoredFile(kind, name, media_type, store.put(data), len(data)))

    for chart in result.charts:
        keep("chart", chart.name, "application/json", chart.model_dump_json().encode())
    if result.examples:
        examples = json.dumps([e.model_dump(mode="json") for e in result.examples]).encode()
        keep("examples", "examples", "application/json", examples)
    if attacks:
        keep("attacks", "attacks", "application/vnd.apache.parquet", attacks)
    for path in sorted(shards.glob("shard-*.parquet")):
        keep("records", path.name, "application/vnd.apache.parquet", path.read_bytes())
    return files


def _salvage(run: EvaluationRun) -> None:
    """Keep the answers that an attempt collected whose worker was killed."""
    audit, version = run.audit, run.audit.model_version
    asked_in = {
        "out": version,
        "parent": version.parent,
        "judge": audit.judge_version,
        "reference": audit.reference_version,
    }
    for name, asked in asked_in.items():
        if asked is not None:
            scores.keep(settings.RUNS_DIR / run.pk / name, audit, asked)


def sweep() -> None:
    """Remove the folders of runs that no longer run: a killed worker cannot. Their answers are kept."""
    if not settings.RUNS_DIR.is_dir():
        return
    # the folders first: a run has its own after it is claimed, and not before
    folders = list(settings.RUNS_DIR.iterdir())
    running = set(EvaluationRun.objects.filter(status=RunStatus.RUNNING).values_list("pk", flat=True))
    for folder in folders:
        if folder.name not in running:
            for run in EvaluationRun.objects.filter(pk=folder.name):
                _salvage(run)
            shutil.rmtree(folder, ignore_errors=True)
