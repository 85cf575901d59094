"""Reads what a sandboxed child left behind as hostile: regular files, plain names, sizes capped, no links followed."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_CHUNK = 2**20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a FIFO must not block


class CollectError(RuntimeError):
    """The child's results cannot be accepted; the message says which file and why."""


class StorageFull(RuntimeError):
    """There is no room for the results. Nothing half-written is left."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The disk (or this account's quota) is full: {path} could not be written. Free some space."
        )
        self.path = path


@dataclass(frozen=True)
class Caps:
    """How much one child may leave behind."""

    file_bytes: int = 2 * 2**30
    total_bytes: int = 4 * 2**30
    files: int = 1000
    depth: int = 3  # folders below the top


@dataclass(frozen=True)
class Collected:
    """A file that was copied: its path relative to both folders, and its size in bytes."""

    path: str
    size: int


def read_file(out: Path, name: str, *, max_bytes: int) -> bytes:
    """The bytes of `out`/`name`, where `name` may hold folders. Raises CollectError, also where it is missing."""
    with _open_below(out, name) as descriptor:
        _accept(descriptor, name, max_bytes)
        return _read(descriptor, name, max_bytes)


def copy_files(out: Path, destination: Path, *, caps: Caps) -> list[Collected]:
    """Copy every file below `out` to the new folder `destination`; names that begin with a dot stay behind.

    One file that is not acceptable refuses all. Whatever the error, `destination` is removed again.
    """
    try:
        destination.mkdir(mode=0o755)
        with _opened(os.open(out, _FOLDER)) as top:
            return _copy_folder(top, destination, "", caps, [])
    except BaseException as error:
        _remove(destination)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(destination) from error
        if isinstance(error, OSError):
            raise CollectError(f"The results could not be read: {error.strerror}.") from error
        raise


def folder_bytes(folder: Path, *, stop_above: int) -> int:
    """The room that the files below `folder` take, links not followed; counting ends once above the limit.

    Each entry counts as at least 4 KiB, so that a million empty files are not free.
    """
    total, waiting = 0, [folder]
    while waiting and total <= stop_above:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    total += max(found.st_blocks * 512, 4096)
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(Path(entry.path))
                    if total > stop_above:
                        break
        except (FileNotFoundError, NotADirectoryError):  # the child removes things while this counts
            continue
    return total


def _copy_folder(
    folder: int, destination: Path, prefix: str, caps: Caps, done: list[Collected]
) -> list[Collected]:
    for name in sorted(os.listdir(folder)):
        path = f"{prefix}{name}"
        if name.startswith("."):
            continue
        if not _NAME.fullmatch(name):
            raise CollectError(f"The child left a file with an unacceptable name: {path!r:.120}.")
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            if prefix.count("/") >= caps.depth:
                raise CollectError(f"The child left folders more than {caps.depth} deep: {path!r:.120}.")
            (destination / name).mkdir(mode=0o755)
            with _opened(os.open(name, _FOLDER, dir_fd=folder)) as inner:
                _copy_folder(inner, destination / name, f"{path}/", caps, done)
            continue
        if len(done) >= caps.files:
            raise CollectError(f"The child left more than {caps.files} files.")
        left = caps.total_bytes - sum(one.size for one in done)
        with _open(name, folder, path) as descriptor:
            _accept(descriptor, path, min(caps.file_bytes, left))
            done.append(
                Collected(path, _copy(descriptor, destination / name, path, min(caps.file_bytes, left)))
            )
    return done


@contextmanager
def _opened(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _open(name: str, folder: int, path: str) -> Iterator[int]:
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise CollectError(
                f"The child left something at {path!r:.120} that is not a plain file."
            ) from error
        raise CollectError(
            f"The child's file {path!r:.120} could not be opened: {error.strerror}."
        ) from error
    with _opened(descriptor):
        yield descriptor


@contextmanager
def _open_below(out: Path, name: str) -> Iterator[int]:
    """Open `name` part by part, so that no part can be a link out of `out`."""
    *folders, last = name.split("/")
    if not all(_NAME.fullmatch(part) for part in (*folders, last)):
        raise CollectError(f"{name!r:.120} is not an acceptable path.")
    try:
        current = os.open(out, _FOLDER)
        for part in folders:
            with _opened(current) as parent:
                current = os.open(part, _FOLDER, dir_fd=parent)
    except OSError as error:
        raise CollectError(
            f"The child's folder of {name!r:.120} could not be opened: {error.strerror}."
        ) from error
    with _opened(current), _open(last, current, name) as descriptor:
        yield descriptor


def _accept(descriptor: int, path: str, max_bytes: int) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise CollectError(f"The child left something at {path!r:.120} that is not a plain file.")
    if found.st_size > max_bytes:
        raise CollectError(
            f"The child's file {path!r:.120} has {found.st_size} bytes; {max_bytes} are allowed."
        )


def _read(descriptor: int, path: str, max_bytes: int) -> bytes:
    text = b""
    while chunk := os.read(descriptor, _CHUNK):
        text += chunk
        if len(text) > max_bytes:  # it grew after it was accepted
            raise CollectError(f"The child's file {path!r:.120} is longer than {max_bytes} bytes.")
    return text


def _copy(source: int, destination: Path, path: str, max_bytes: int) -> int:
    target = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    size = 0
    with _opened(target):
        while chunk := os.read(source, _CHUNK):
            size += len(chunk)
            if size > max_bytes:
                raise CollectError(f"The child's file {path!r:.120} is longer than {max_bytes} bytes.")
            view = memoryview(chunk)
            while view:
                view = view[os.write(target, view) :]
        os.fsync(target)
    return size


def _remove(folder: Path) -> None:
    """Remove a folder of ours, which holds no links."""
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(parent, name))
        for name in folders:
            os.rmdir(os.path.join(parent, name))
    if folder.exists():
        folder.rmdir()
