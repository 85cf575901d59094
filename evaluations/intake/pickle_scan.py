"""Says what a refused pickle would do, by engines that read its opcodes. For people to read: it decides nothing.

No pickle is ever loaded. Each engine runs in a process of its own, within limits: it reads what an attacker wrote.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from evaluations.intake import pickle_engines
from evaluations.intake.reasons import Reason

ENGINES = ("fickling", "modelaudit-picklescan", "picklescan")
SECONDS = 10  # of CPU, per engine and file
MEMORY = 4 << 30
MAX_BYTES = 2 << 30  # larger files are not scanned
MAX_FILES = 3
MAX_FINDINGS = 20  # per engine and file
_SEVERITIES = ("malicious", "suspicious", "unreadable", "harmless")


@dataclass(frozen=True)
class Finding:
    """What one engine read out of one file. `subject` is what the pickle imports, such as posix.system."""

    path: str
    engine: str
    severity: Literal["malicious", "suspicious", "unreadable", "harmless", "not_scanned"]
    subject: str
    message: str

    def record(self) -> dict[str, Any]:
        return asdict(self)


def scan(path: Path) -> list[Finding]:
    """What each engine finds in one file, gravest first. An engine that is not installed says so."""
    try:
        size = path.lstat().st_size
    except OSError as error:
        return [Finding(path.name, "", "not_scanned", "", f"The file cannot be read ({error.strerror}).")]
    if path.is_symlink() or not path.is_file() or size > MAX_BYTES:
        message = f"Only regular files of up to {MAX_BYTES >> 30} GiB are scanned."
        return [Finding(path.name, "", "not_scanned", "", message)]
    return [finding for engine in ENGINES for finding in _by(engine, path)]


def scan_refused(folder: Path, reasons: Iterable[Reason]) -> list[Finding]:
    """What the pickles among the reasons to refuse a folder would do; three files at most."""
    paths = sorted({reason.path for reason in reasons if reason.code == "pickle" and reason.path})
    found = []
    for path in paths[:MAX_FILES]:
        found += [
            Finding(path, one.engine, one.severity, one.subject, one.message) for one in scan(folder / path)
        ]
    for path in paths[MAX_FILES:]:
        found.append(Finding(path, "", "not_scanned", "", f"At most {MAX_FILES} files are scanned."))
    return found


def _by(engine: str, path: Path) -> list[Finding]:
    program = Path(__file__).with_name("pickle_engines.py")
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(program), engine, str(path.absolute()), str(SECONDS), str(MEMORY)],
            capture_output=True,
            text=True,
            timeout=3 * SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", "OMP_NUM_THREADS": "1"},
        )
        answer = json.loads(done.stdout.rsplit("\n", 1)[-1])
    except (subprocess.TimeoutExpired, ValueError):  # over the limits, or crashed
        message = f"The engine gave no answer within {SECONDS} seconds and {MEMORY >> 30} GiB."
        return [Finding(path.name, engine, "unreadable", "", message)]
    except PermissionError:  # the sandbox of an audit lets nothing start a process, and limits this one
        answer = pickle_engines.asked(engine, str(path.absolute()))
    if answer is None:
        message = "The engine is not installed: pip install 'model-auditor[ml]'."
        return [Finding(path.name, engine, "not_scanned", "", message)]
    found = [Finding(path.name, engine, severity, *map(_short, texts)) for severity, *texts in answer]
    found.sort(key=lambda one: _SEVERITIES.index(one.severity))
    return found[:MAX_FINDINGS] or [Finding(path.name, engine, "harmless", "", "It found nothing to report.")]


def _short(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)[:300]
