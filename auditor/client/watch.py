"""Waits for an audit: asks politely, shows progress bars on a terminal and plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from auditor.client.exits import TimedOut
from auditor.client.http import Client, retry_after

PAUSE = 2.0  # seconds between questions where the service does not say
ENDED = frozenset({"completed", "cancelled"})
GOOD = "succeeded"


class Display(Protocol):
    """Shows one state of an audit after another."""

    def update(self, audit: dict[str, Any]) -> None: ...
    def close(self) -> None: ...


def wait(
    client: Client,
    audit_id: str,
    display: Display,
    timeout: float | None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """The audit once it has ended. Raises TimedOut after `timeout` seconds; the audit itself goes on."""
    started, etag = clock(), ""
    try:
        while True:
            response = client.get(f"audits/{audit_id}", etag=etag)
            if response.status_code != 304:
                etag = response.headers.get("ETag", "")
                audit: dict[str, Any] = response.json()
                display.update(audit)
                if audit["status"] in ENDED:
                    return audit
            pause = retry_after(response, PAUSE) or PAUSE
            if timeout is not None and clock() - started + pause > timeout:
                raise TimedOut(
                    f"The audit {audit_id} has not ended after {timeout:.0f} s. It goes on: look with "
                    f"`auditor audit status {audit_id}`, or stop it with `auditor audit cancel {audit_id}`."
                )
            client.sleep(pause)
    finally:
        display.close()


class Lines:
    """For logs: one line for each change of the audit or of one of its runs."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._seen: dict[str, str] = {}

    def update(self, audit: dict[str, Any]) -> None:
        if self._seen.get("") != audit["status"]:
            self._seen[""] = audit["status"]
            self._write(f"{audit['id']} {audit['status']}")
        for run in audit.get("runs", []):
            state = (
                f"{run['status']} (attempt {run['attempt']})" if run["attempt"] > 1 else str(run["status"])
            )
            if self._seen.get(run["item"]) == state:
                continue
            self._seen[run["item"]] = state
            reason = f": {run['reason']}" if run.get("reason") and run["status"] != GOOD else ""
            progress = audit["progress"]
            self._write(f"  {progress['done_runs']}/{progress['total_runs']} {run['item']} {state}{reason}")

    def close(self) -> None:
        """Nothing stays open."""


class Bars:
    """For a terminal: a bar for the audit, and one for each run."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[state]:<12}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[str, Any] = {}
        self._bars.start()

    def update(self, audit: dict[str, Any]) -> None:
        progress = audit["progress"]
        self._show(
            "",
            f"{progress['done_runs']} of {progress['total_runs']} runs",
            progress["fraction"],
            audit["status"],
        )
        for run in audit.get("runs", []):
            self._show(run["item"], f"  {run['item']}", _fraction(run), run["status"])

    def _show(self, key: str, words: str, fraction: float, state: str) -> None:
        from rich.markup import escape

        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(escape(words), total=1.0, state=state)
        self._bars.update(self._tasks[key], description=escape(words), completed=fraction, state=state)
        if state not in ("queued", "running", "cancelling"):
            self._bars.stop_task(self._tasks[key])

    def close(self) -> None:
        self._bars.stop()


def _fraction(run: dict[str, Any]) -> float:
    if run["status"] == "running":
        return run["progress_done"] / run["progress_total"] if run.get("progress_total") else 0.0
    return 0.0 if run["status"] == "queued" else 1.0
