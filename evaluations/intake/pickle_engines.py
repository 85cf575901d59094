"""Run as a program, with limits, on one hostile file: what each engine for pickles reads out of its opcodes.

Nothing is unpickled. The file is standard library and engines alone, so that it runs wherever they are installed.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import zipfile
from collections.abc import Callable, Iterator

MAX_PICKLE = 64 * 2**20  # bytes of one pickle within an archive
Found = list[tuple[str, str, str]]  # severity, what it names, message


def picklescan(path: str) -> Found:
    from picklescan.scanner import SafetyLevel, scan_file_path

    result = scan_file_path(path)
    words = {
        SafetyLevel.Dangerous: ("malicious", "can run code"),
        SafetyLevel.Suspicious: ("suspicious", "is not known to be harmless"),
        SafetyLevel.Innocuous: ("harmless", "is harmless"),
    }
    found = []
    for one in result.globals:
        severity, what = words.get(one.safety, ("suspicious", "is unknown"))
        found.append((severity, f"{one.module}.{one.name}", f"imports {one.module}.{one.name}, which {what}"))
    if result.scan_err:
        found.append(("unreadable", "", "could be read in part only"))
    return found


def fickling(path: str) -> Found:
    from fickling.analysis import Severity, check_safety
    from fickling.fickle import Pickled

    found = []
    for data in _pickles(path):
        try:
            results = check_safety(Pickled.load(data)).results
        except Exception as error:  # noqa: BLE001  # of many kinds; the other pickles of an archive are read all the same
            found.append(
                ("unreadable", "", f"could not be read ({str(error)[:100] or type(error).__name__})")
            )
            continue
        for one in results:
            if one.severity > Severity.LIKELY_SAFE and one.analysis_name != "UnusedVariables":
                severity = "malicious" if one.severity >= Severity.LIKELY_UNSAFE else "suspicious"
                found.append((severity, str(one.trigger or ""), str(one.message)))
    return found


def modelaudit(path: str) -> Found:
    from modelaudit_picklescan import ScanOptions, Severity, scan_file

    report = scan_file(path, options=ScanOptions(timeout_s=8))
    found = [
        (
            "malicious" if one.severity is Severity.CRITICAL else "suspicious",
            str(one.details.get("import_reference", "")),
            one.message,
        )
        for one in report.findings
    ]
    return found + [("unreadable", "", error.message) for error in report.errors]


ENGINES: dict[str, Callable[[str], Found]] = {
    "fickling": fickling,
    "modelaudit-picklescan": modelaudit,
    "picklescan": picklescan,
}


def _pickles(path: str) -> Iterator[bytes]:
    """The pickles in a file: those of an archive, such as PyTorch makes, or the file itself."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            yield file.read(MAX_PICKLE)
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.lower().endswith((".pkl", ".pickle")) and member.file_size <= MAX_PICKLE:
                yield archive.read(member)


def main(engine: str, path: str, seconds: str, memory: str) -> None:
    """Print what the engine finds as JSON; null where it is not installed."""
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    json.dump(asked(engine, path), sys.stdout)


def asked(engine: str, path: str) -> Found | None:
    """What the engine finds; None where it is not installed. Sets no limits."""
    try:
        return ENGINES[engine](path)
    except ModuleNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001  # an engine that stumbles over hostile input says no more than that
        return [("unreadable", "", f"stopped at {type(error).__name__}: {str(error)[:100]}")]


if __name__ == "__main__":
    main(*sys.argv[1:])
