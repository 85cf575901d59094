"""The service of the demonstration: database, web server on a free port, workers; all gone at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from auditor.core import embedded
from workers import launch

START_SECONDS = 60


class ServiceFailed(Exception):
    """The service did not come up, or did not stay up; the message carries the end of its log."""


@contextmanager
def database() -> Iterator[None]:
    """The embedded PostgreSQL where none is named, brought up to date; stopped again if it was not running before."""
    ours = not os.environ.get("DATABASE_URL") and embedded.running() is None
    if ours:
        embedded.ensure_running()
    try:
        done = subprocess.run(
            [sys.executable, "manage.py", "prepare"],
            cwd=launch.REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServiceFailed(f"The database could not be prepared:\n{done.stderr[-2000:]}")
        yield
    finally:
        if ours:
            embedded.stop()


@contextmanager
def service(log: Path) -> Iterator[str]:
    """The URL of a web server with its workers, once it answers."""
    port = launch.free_port()
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as out:
        processes = launch.start([launch.web_command(port), *launch.worker_commands()], out)
        try:
            _await(url, processes, log)
            yield url
        finally:
            launch.stop(processes)


def _await(url: str, processes: list[subprocess.Popen[bytes]], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if any(process.poll() is not None for process in processes):
            break
        try:
            httpx.get(f"{url}/api/v1/me", timeout=5)  # any answer will do: it is there
            return
        except httpx.TransportError:
            time.sleep(0.2)
    raise ServiceFailed(f"The service did not start. Its log ends with:\n{tail(log)}")


def tail(log: Path, lines: int = 25) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
