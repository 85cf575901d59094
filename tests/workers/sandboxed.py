"""Runs small hostile programs in the real sandbox, for the tests of it."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from workers.isolation.sandbox import Child, Ended, Limits, launch

# Each program is given `attempt(name, function)`, which notes "done" or the name of the error.
PRELUDE = """
import json, os, signal, socket, sys
noted = {}
def attempt(name, function):
    try:
        function()
        noted[name] = "done"
    except BaseException as error:
        noted[name] = type(error).__name__
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
"""
EPILOGUE = "\nprint(json.dumps(noted))\n"


@dataclass(frozen=True)
class Outcome:
    child: Child
    ended: Ended
    noted: dict[str, Any]
    errors: str


def run_folder(parent: Path) -> Path:
    """A run's own folder below `parent`, which other accounts may pass through."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    folder.chmod(0o755)
    return folder


def start(
    program: str, folder: Path, *, read: list[Path] | None = None, limits: Limits | None = None
) -> Child:
    argv = [sys.executable, "-c", PRELUDE + program + EPILOGUE]
    return launch(argv, read=read or [], write=folder / "out", limits=limits or Limits())


def wait(child: Child) -> Ended:
    while (ended := child.poll()) is None:
        time.sleep(0.02)
    return ended


def run(
    program: str, folder: Path, *, read: list[Path] | None = None, limits: Limits | None = None
) -> Outcome:
    """Run to the end; `noted` is what the program noted, empty where it did not come to that."""
    child = start(program, folder, read=read, limits=limits)
    ended = wait(child)
    lines = child.stdout.read_text().splitlines()
    noted = json.loads(lines[-1]) if lines and ended.returncode == 0 else {}
    return Outcome(child, ended, noted, child.stderr.read_text())


@pytest.fixture
def folder() -> Iterator[Path]:
    """A run's folder in /tmp (pytest's own are 0700), removed at the end."""
    with tempfile.TemporaryDirectory(prefix="auditor-run-") as name:
        Path(name).chmod(0o755)
        yield run_folder(Path(name))
