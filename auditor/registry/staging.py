"""Where the files of an upload lie until intake accepts them: one folder per upload, resumable, private."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from auditor.core.errors import conflict
from auditor.core.store import disk_full

CHUNK = 2**20
SETTLED_SECONDS = 3600
FULL = (errno.ENOSPC, errno.EDQUOT)


def root() -> Path:
    return Path(settings.UPLOADS_DIR)


def folder(upload_id: str) -> Path:
    """The files of an upload, under the paths that its manifest names."""
    return root() / upload_id / "files"


def create(upload_id: str) -> None:
    """Make the empty folder. Raises `disk_full`."""
    with cleared_when_full(upload_id):
        root().mkdir(mode=0o700, parents=True, exist_ok=True)
        # The upload's own folder is private; `files` is moved into the store, where workers read it.
        (root() / upload_id).mkdir(mode=0o700)
        folder(upload_id).mkdir(mode=0o755)


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder on the store's disk for a table made here, removed at the end. Raises `disk_full`."""
    name = f"made-{secrets.token_hex(8)}"
    create(name)
    try:
        with cleared_when_full(name):
            yield folder(name)
    finally:
        remove(name)


def remove(upload_id: str) -> None:
    shutil.rmtree(root() / upload_id, ignore_errors=True)


@contextmanager
def cleared_when_full(upload_id: str) -> Iterator[None]:
    """Turn a full disk into `disk_full`, with nothing of the upload left on it."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        remove(upload_id)
        raise disk_full(root()) from error


@contextmanager
def locked(upload_id: str) -> Iterator[None]:
    """One request at a time works on an upload; another gets `upload_busy`."""
    try:
        descriptor = os.open(root() / upload_id, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise conflict(
            "upload_gone", "The upload's files are no longer there. Start a new upload."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise conflict(
                "upload_busy",
                "Another request is sending to this upload. Wait for it, then ask for the offsets.",
            ) from error
        yield
    finally:
        os.close(descriptor)


def offset(upload_id: str, path: str) -> int:
    """How many bytes of a file have arrived."""
    try:
        return (folder(upload_id) / path).stat().st_size
    except FileNotFoundError:
        return 0


def append(upload_id: str, path: str, stream: BinaryIO, limit: int) -> int:
    """Add the stream to the end of a file, in chunks. Returns the new size, or -1 where it would pass `limit`.

    What arrived before a connection broke is kept, so that the sender can go on from there.
    """
    target = folder(upload_id) / path
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        before = size = os.fstat(descriptor).st_size
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > limit:
                os.ftruncate(descriptor, before)
                return -1
            _write(descriptor, chunk)
        if size == limit:
            os.fsync(descriptor)
        return size
    finally:
        os.close(descriptor)


def _write(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def sha256_of(upload_id: str, path: str) -> str:
    with (folder(upload_id) / path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(upload_id: str, paths: Iterable[str]) -> None:
    """Make the files read-only, as they will lie in the store. An empty one is never sent, so it is made here."""
    for path in paths:
        (folder(upload_id) / path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        (folder(upload_id) / path).touch()
    folder(upload_id).chmod(0o755)  # whatever the umask: workers read it under another account
    for item in folder(upload_id).rglob("*"):
        item.chmod(0o755 if item.is_dir() else 0o444)


def leftovers(known: set[str]) -> list[str]:
    """Staging folders of uploads that are not `known`. Fresh ones are spared: their row may not be committed yet."""
    if not root().is_dir():
        return []
    before = time.time() - SETTLED_SECONDS
    return [e.name for e in root().iterdir() if e.name not in known and e.stat().st_mtime < before]
