"""Starts a command as a confined child, watches its limits, and says how it ended.

The command's own folder (`write`) lies inside the run's folder, which belongs to the supervisor and
gets the two capped logs, `<write>.stdout.log` and `<write>.stderr.log`. The kernel kills the child when
the *thread* that called `launch` ends: launch from one that outlives the run.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from workers.isolation import runtime
from workers.isolation.collect import StorageFull, folder_bytes
from workers.isolation.level import IsolationLevel
from workers.isolation.logs import CappedLog, tail

FIRST_UID, LAST_UID = 61184, 65519  # set aside by systemd for accounts that exist while something runs
_ENTER = Path(__file__).with_name("enter.py")
_ENTER_SECONDS = 60
_OUT_OF_MEMORY = re.compile(
    r"MemoryError|std::bad_alloc|Cannot allocate memory|can't allocate memory|out of memory", re.IGNORECASE
)
_FILE_TOO_LARGE = re.compile(r"\[Errno 27\]|File too large")


class SandboxError(RuntimeError):
    """The child could not be started; the message says why and what to do."""


@dataclass(frozen=True)
class Limits:
    """What one child may use. Bytes and seconds."""

    memory_bytes: int = 12 * 2**30
    file_bytes: int = 2 * 2**30  # of any one file
    output_bytes: int = 4 * 2**30  # of all its files together
    log_bytes: int = 2**20  # of each log; what is beyond is thrown away
    wall_seconds: float = 1800
    cpu_seconds: int = 4 * 3600  # of all its threads together
    threads: int = 2  # that numerical libraries are told to use


class Reason(StrEnum):
    """How a child ended."""

    FINISHED = "finished"  # exit status 0
    FAILED = "failed"  # any other exit status
    CRASHED = "crashed"  # a signal that was not ours
    TERMINATED = "terminated"  # by `terminate`
    WALL_TIME = "wall_time"
    CPU_TIME = "cpu_time"
    MEMORY = "memory"
    FILE_SIZE = "file_size"
    OUTPUT_SIZE = "output_size"


@dataclass(frozen=True)
class Ended:
    """The end of a child. `returncode` is negative for a signal; `message` is for people.

    `peak_memory_bytes` is what the last `poll` saw: 0 for a child that ended before one.
    """

    reason: Reason
    returncode: int
    message: str
    peak_memory_bytes: int
    cpu_seconds: float


class Child:
    """A running sandboxed command. Call `poll` about every half second: it enforces what the kernel does not."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        level: IsolationLevel,
        write: Path,
        limits: Limits,
        logs: list[CappedLog],
    ) -> None:
        self.level = level
        self.pid = process.pid
        self.stdout, self.stderr = _log_paths(write)
        self._process, self._write, self._limits, self._logs = process, write, limits, logs
        self._started = time.monotonic()
        self._peak = 0
        self._ended: Ended | None = None

    def poll(self) -> Ended | None:
        """None while it runs within its limits, else how it ended. Ends it when it is over one."""
        if self._ended is None:
            if self._has_exited():
                self._finish(None)
            elif over := self._over_limit():
                self._finish(over)
        return self._ended

    def terminate(self) -> Ended:
        """End it and everything it started, at once, and wait for that."""
        if self._ended is None:
            self._finish(None if self._has_exited() else (Reason.TERMINATED, "It was stopped."))
        assert self._ended is not None
        return self._ended

    def _has_exited(self) -> bool:
        """Whether it has; not yet reaped, so that its group's number cannot be given to another."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _over_limit(self) -> tuple[Reason, str] | None:
        limits = self._limits
        if time.monotonic() - self._started > limits.wall_seconds:
            return Reason.WALL_TIME, f"It ran longer than {limits.wall_seconds:g} s."
        own, peak = _memory(self.pid)
        self._peak = max(self._peak, peak)
        if own > limits.memory_bytes:
            return Reason.MEMORY, f"It used more than {_size(limits.memory_bytes)} of memory."
        if folder_bytes(self._write, stop_above=limits.output_bytes) > limits.output_bytes:
            return Reason.OUTPUT_SIZE, f"It wrote more than {_size(limits.output_bytes)} in all."
        return None

    def _finish(self, ours: tuple[Reason, str] | None) -> None:
        with suppress(ProcessLookupError):  # nobody may be left
            os.killpg(self.pid, signal.SIGKILL)  # it leads its group: also what it may have started
        _, status, usage = os.wait4(self.pid, 0)
        returncode = self._process.returncode = os.waitstatus_to_exitcode(status)
        for log in self._logs:
            log.finish()
        cpu_seconds = usage.ru_utime + usage.ru_stime
        reason, message = ours or _explain(returncode, cpu_seconds, self._limits, tail(self.stderr))
        self._ended = Ended(reason, returncode, message, self._peak, cpu_seconds)


def launch(
    argv: list[str],
    *,
    read: list[Path],
    write: Path,
    limits: Limits,
    env_extra: Mapping[str, str] | None = None,
    keep: Sequence[int] = (),
) -> Child:
    """Start `argv` (its first an absolute path) confined: it reads `read`, and writes `write` alone.

    `write` is made, or has to be empty, in a folder that exists. The descriptors in `keep` stay open in it under
    their numbers: a connected socket among them can be used, and no other can be made. Raises SandboxError, and
    StorageFull.
    """
    executable = Path(argv[0])
    read = [path.resolve() for path in read]
    write = write.absolute()
    _check(executable, read, write)
    uid = _free_uid() if os.geteuid() == 0 else None
    packages = _make_folders(write, uid)
    rules = runtime.rules(read, write, executable, packages)
    exposed = next((rule.path for rule in rules if Path(rule.path) in write.parents), None)
    if exposed is not None:
        raise SandboxError(
            f"The run's folder {write.parent} lies inside {exposed}, which the child may read. Move one."
        )
    environment = runtime.environment(write / ".home", write / ".tmp", packages, limits.threads)
    reader, writer = os.pipe()
    specification = {
        "parent": os.getpid(),
        "report": writer,
        "argv": argv,
        "rules": [(rule.path, rule.rights) for rule in rules],
        "uid": uid,
        "must_reach": runtime.must_reach(read, write, executable, packages) if uid else [],
        "limits": {
            "DATA": limits.memory_bytes,
            "FSIZE": limits.file_bytes,
            "CPU": limits.cpu_seconds + 2,  # the signal comes 2 s before the kill
            "NOFILE": 1024,
            "CORE": 0,
            "MSGQUEUE": 0,
        },
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_ENTER), json.dumps(specification)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, **(env_extra or {})},
            cwd=write / ".home",
            pass_fds=[writer, *keep],
            start_new_session=True,
        )
    finally:
        os.close(writer)
    assert process.stdout is not None
    assert process.stderr is not None
    stdout, stderr = _log_paths(write)
    logs = [
        CappedLog(process.stdout, stdout, limits.log_bytes),
        CappedLog(process.stderr, stderr, limits.log_bytes),
    ]
    report = _read_report(reader)
    if "error" in report or "level" not in report:
        process.kill()
        process.wait()
        for log in logs:
            log.finish()
        raise SandboxError(report.get("error") or f"The sandbox could not be entered: {tail(stderr).strip()}")
    return Child(process, _level(report["level"]), write, limits, logs)


def _check(executable: Path, read: list[Path], write: Path) -> None:
    if not executable.is_absolute() or not os.access(executable, os.X_OK):
        raise SandboxError(f"{executable} is not the absolute path of a program.")
    for path in read:
        if not path.exists():
            raise SandboxError(f"{path} is to be read by the child and does not exist.")
    if not write.parent.is_dir() or write.is_symlink() or (write.exists() and any(write.iterdir())):
        raise SandboxError(f"{write} has to be a new or empty folder inside an existing one.")


def _make_folders(write: Path, uid: int | None) -> Path:
    """The child's folders, and the one that holds a link to `evaluations`, so that no listing of the rest is needed."""
    packages = write.parent / "packages"
    try:
        packages.mkdir(mode=0o755, exist_ok=True)
        link = packages / "evaluations"
        if not link.is_symlink():
            link.symlink_to(runtime.REPOSITORY / "evaluations")
        for folder in (write, write / ".home", write / ".tmp"):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
            if uid is not None:
                os.chown(folder, uid, uid)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(write) from error
        raise SandboxError(f"The folder {write} cannot be prepared: {error.strerror}.") from error
    return packages


def _free_uid() -> int:
    """A number in systemd's range for passing accounts that owns no process now."""
    used = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                used.add(entry.stat().st_uid)
            except FileNotFoundError:  # it has just ended
                continue
    while True:
        uid = FIRST_UID + secrets.randbelow(LAST_UID - FIRST_UID + 1)
        if uid not in used:
            return uid


def _read_report(reader: int) -> dict[str, dict[str, str]]:
    """What `enter.py` wrote until its end of the pipe closed, which the start of the command does."""
    deadline, text = time.monotonic() + _ENTER_SECONDS, b""
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(deadline - time.monotonic(), 0))[0]:
            chunk = pipe.read(65536)
            if not chunk:
                break
            text += chunk
        else:
            return {}
    merged: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        merged |= json.loads(line)
    return merged


def _level(fields: dict[str, str]) -> IsolationLevel:
    return IsolationLevel(**{name: value for name, value in fields.items() if name != "summary"})


def _explain(returncode: int, cpu_seconds: float, limits: Limits, stderr: str) -> tuple[Reason, str]:
    """Why a child that nobody stopped has ended. Its own words decide only between kinds of its own failure."""
    if returncode == 0:
        return Reason.FINISHED, "It finished."
    if returncode == -signal.SIGXCPU or (returncode == -signal.SIGKILL and cpu_seconds >= limits.cpu_seconds):
        return Reason.CPU_TIME, f"It used more than {limits.cpu_seconds} s of processor time."
    if returncode == -signal.SIGXFSZ or _FILE_TOO_LARGE.search(stderr):
        return Reason.FILE_SIZE, f"It tried to write a file of more than {_size(limits.file_bytes)}."
    if _OUT_OF_MEMORY.search(stderr):
        return Reason.MEMORY, f"It asked for more than the {_size(limits.memory_bytes)} of memory it may use."
    if returncode == -signal.SIGKILL:
        return (
            Reason.CRASHED,
            "It was killed from outside, as the system does when the machine is short of memory.",
        )
    if returncode < 0:
        return Reason.CRASHED, f"It crashed ({signal.Signals(-returncode).name})."
    return Reason.FAILED, f"It ended with status {returncode}."


def _memory(pid: int) -> tuple[int, int]:
    """Bytes: its own now (anonymous and shared pages, not files it mapped), and the most of all kinds so far."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0  # it has just ended
    kib = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", status, re.MULTILINE)}
    return (kib.get("RssAnon", 0) + kib.get("RssShmem", 0)) * 1024, kib.get("VmHWM", 0) * 1024


def _log_paths(write: Path) -> tuple[Path, Path]:
    return write.with_name(f"{write.name}.stdout.log"), write.with_name(f"{write.name}.stderr.log")


def _size(count: int) -> str:
    return f"{count / 2**30:.3g} GiB" if count >= 2**30 else f"{count / 2**20:.3g} MiB"
