"""A bar of bytes for uploads: on a terminal a bar, elsewhere nothing until the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from auditor.client.push import Report


@contextmanager
def uploading(console: Any, what: str, total: int) -> Iterator[Report]:
    """A function to call with the number of bytes that have arrived since the last call."""
    if not console.is_terminal:
        yield lambda arrived: None
        console.print(f"{what}: {total / 1e6:.1f} MB sent", markup=False)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    with Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=32),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
    ) as bars:
        task = bars.add_task(what, total=total)
        yield lambda arrived: bars.advance(task, arrived)
