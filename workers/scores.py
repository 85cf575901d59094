"""Answers that models gave in earlier runs, kept for later ones: per team and model digest, copied and never read.

Parquet that a sandboxed child wrote is hostile: it is only moved here, and read by other children. Answers of
files that are here hold for every later audit. Those of an endpoint hold for one audit, and for the one that
supersedes it because it could not be finished: a new audit asks again.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from auditor.audits.models import Audit, EvaluationRun, RunStatus
from auditor.registry.models import ModelVersion
from evaluations.spec import ModelFormat
from workers.isolation import collect

log = logging.getLogger(__name__)

FOLDER = "scores"  # in a run's output
_FILE = re.compile(r"[0-9a-f]{64}-[0-9a-f]{12}\.parquet")
_CAPS = collect.Caps(file_bytes=2**30, total_bytes=2 * 2**30, files=5000, depth=0)
_EVERY_AUDIT = "shared"
SWEEP_SECONDS = 600.0
_swept = -SWEEP_SECONDS  # monotonic seconds, of this process


def folder(audit: Audit, version: ModelVersion) -> Path:
    """Where the answers of this model for this audit lie; made where it is not there."""
    place = _of(audit, version)
    if not place.is_dir():
        # whole or not at all: one that is there is not filled again
        made = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
        made.mkdir(mode=0o755, parents=True)
        before = audit.supersedes
        if version.format == ModelFormat.ENDPOINT and before is not None and _unfinished(before):
            for file in _files(_of(before, version)):
                with suppress(OSError):  # swept meanwhile: it is asked again
                    os.link(file, made / file.name)
        try:
            made.rename(place)
        except OSError:  # another worker was quicker
            shutil.rmtree(made, ignore_errors=True)
            place.mkdir(mode=0o755, exist_ok=True)
    return place


def keep(out: Path, audit: Audit, version: ModelVersion) -> None:
    """Take over what a child that has ended left in `out`, however it ended. What is not acceptable is left."""
    own = secrets.token_hex(4)
    with suppress(FileNotFoundError):
        # a link would move as a link, and not be followed below
        os.rename(out / FOLDER, out.with_name(f"{out.name}-{FOLDER}-{own}"))
    for taken in sorted(out.parent.glob(f"{out.name}-{FOLDER}-*")):  # also of a keeper that was killed here
        _take_over(taken, out.with_name(f"{out.name}-kept-{own}"), audit, version)


def _take_over(taken: Path, copied: Path, audit: Audit, version: ModelVersion) -> None:
    try:
        collect.copy_files(taken, copied, caps=_CAPS)
        place = folder(audit, version)
        for path in sorted(copied.iterdir()):
            if _FILE.fullmatch(path.name) and path.is_file():
                path.rename(place / path.name)
    except (collect.CollectError, collect.StorageFull, OSError) as error:
        log.warning("the answers of %s were not kept: %s", version, error)
    finally:
        for rest in (taken, copied):
            if rest.is_dir() and not rest.is_symlink():
                shutil.rmtree(rest, ignore_errors=True)
            else:
                rest.unlink(missing_ok=True)


def forget(audit: Audit, version: ModelVersion) -> None:
    """Drop the answers of an endpoint that changed while it was asked: they are of two models."""
    if version.format == ModelFormat.ENDPOINT:
        shutil.rmtree(_of(audit, version), ignore_errors=True)


def sweep_when_due() -> None:
    """For housekeeping, which comes by every few seconds."""
    global _swept
    if time.monotonic() - _swept > SWEEP_SECONDS:
        _swept = time.monotonic()
        sweep(time.time())


def sweep(now: float) -> None:
    """Remove what is older than SCORES_KEEP_DAYS, then the oldest until SCORES_MAX_BYTES hold the rest."""
    kept: list[tuple[float, int, Path]] = []
    for path in _files(settings.SCORES_DIR, deep=True):
        with suppress(FileNotFoundError):
            found = path.stat()
            kept.append((found.st_mtime, found.st_size, path))
    total = sum(size for _, size, _ in kept)
    for written, size, path in sorted(kept):
        if now - written <= settings.SCORES_KEEP_DAYS * 86400 and total <= settings.SCORES_MAX_BYTES:
            break
        path.unlink(missing_ok=True)
        total -= size
    for place in sorted(settings.SCORES_DIR.glob("*/*/*")):
        with suppress(OSError):  # it holds something, or somebody was quicker
            if now - place.stat().st_mtime > settings.SCORES_KEEP_DAYS * 86400:
                place.rmdir()


def _of(audit: Audit, version: ModelVersion) -> Path:
    scope = audit.pk if version.format == ModelFormat.ENDPOINT else _EVERY_AUDIT
    place: Path = settings.SCORES_DIR / version.model.team_id / version.digest.removeprefix("sha256:") / scope
    return place


def _unfinished(audit: Audit) -> bool:
    """Whether a run of it gave no result: then its answers are gone on from, else asked again."""
    succeeded = audit.runs.filter(status=RunStatus.SUCCEEDED).values("item")
    tried = EvaluationRun.objects.filter(audit=audit).exclude(status=RunStatus.SKIPPED)
    return tried.exclude(item__in=succeeded).exists()


def _files(top: Path, *, deep: bool = False) -> Iterator[Path]:
    if top.is_dir():
        yield from (
            path for path in sorted(top.glob("*/*/*/*" if deep else "*")) if _FILE.fullmatch(path.name)
        )
