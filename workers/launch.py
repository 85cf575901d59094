"""Starting and stopping the service's own processes on this machine: `python -m workers.launch`.

One web server, one worker for runs, one for housekeeping with the clock (beat) in it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

from auditor.core import embedded
from auditor.core.queue import HOUSEKEEPING, WORK

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditor.settings")
REPOSITORY = Path(__file__).resolve().parents[1]
# It keeps nothing in a file, which a kill could leave half-written: what is due every few seconds needs no memory.
CLOCK = "celery.beat:Scheduler"


@dataclass
class PortInUse(Exception):
    """Somebody else listens there; a second web server would start and silently never be reached."""

    port: int

    def __str__(self) -> str:
        other = self.port + 1
        return (
            f"Port {self.port} is in use. Stop what listens there, or choose another: make serve PORT={other}"
        )


def check_port(port: int, host: str = "127.0.0.1") -> None:
    """Raise PortInUse where the port cannot be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUse(port) from error


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def worker_commands() -> list[list[str]]:
    celery = [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "-A",
        "workers.app",
        "worker",
        "--without-gossip",
        "--without-mingle",
    ]
    work = ["-Q", WORK, "-n", f"work-{os.getpid()}@%h", "--concurrency", str(settings.WORKER_CONCURRENCY)]
    keep = ["-Q", HOUSEKEEPING, "-n", f"housekeeping-{os.getpid()}@%h", "--concurrency", "1"]
    clock = ["-B", "--scheduler", CLOCK]
    return [[*celery, *work, "-l", "WARNING"], [*celery, *keep, *clock, "-l", "WARNING"]]


def web_command(port: int) -> list[str]:
    return [
        *[sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)],
        *["--blocking-threads", "4", "--log-level", "warning", "auditor.wsgi:application"],
    ]


def start(commands: Sequence[list[str]], log: IO[bytes] | None = None) -> list[subprocess.Popen[bytes]]:
    """Start each in a session of its own, so that stop() reaches what it started too."""
    return [
        subprocess.Popen(
            command, cwd=REPOSITORY, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        for command in commands
    ]


def stop(processes: Sequence[subprocess.Popen[bytes]], grace_seconds: float = 10) -> None:
    """Ask each to end, then end it."""
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main() -> int:
    """Serve until interrupted: the database where it is ours, the web server and the workers."""
    port = int(os.environ.get("PORT") or 8000)
    try:
        check_port(port)
    except PortInUse as error:
        print(error, file=sys.stderr)
        return 2
    if not os.environ.get("DATABASE_URL"):
        embedded.ensure_running()
    subprocess.run([sys.executable, "manage.py", "prepare"], cwd=REPOSITORY, check=True)
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # both ways of stopping it run the same clean-up
    processes = start([web_command(port), *worker_commands()])
    print(f"Open http://127.0.0.1:{port}/ (Ctrl-C stops it)", flush=True)
    try:
        # whichever ends first ends the service: a supervisor (systemd, a container) starts it again
        os.waitpid(-1, 0)
    except KeyboardInterrupt:
        return 0
    finally:
        stop(processes)
    return 1


if __name__ == "__main__":
    sys.exit(main())
