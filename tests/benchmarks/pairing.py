"""Times two ways of doing the same thing, alternating, so that a busy machine slows both."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Spent:
    """What one run of one side took. `peak_mib` is None where the system cannot tell."""

    cpu: float
    wall: float
    peak_mib: float | None


def alternate(
    ours: Callable[[], object], theirs: Callable[[], object], runs: int = 5
) -> dict[str, float | int | None]:
    """Medians of each side over `runs` interleaved runs in one process, and of the paired ratios theirs / ours.

    `ratio` is that of CPU seconds, which other work on the machine disturbs least; `wall_ratio` tells what
    waiting and threads change. Peak memory is that of the process while the side runs.
    """
    pairs = []
    for i in range(runs):
        if i % 2 == 0:
            ours_spent, theirs_spent = spent_by(ours), spent_by(theirs)
        else:
            theirs_spent, ours_spent = spent_by(theirs), spent_by(ours)
        pairs.append((ours_spent, theirs_spent))
    return {
        "runs": runs,
        "ours_cpu_seconds": _median([a.cpu for a, _ in pairs]),
        "theirs_cpu_seconds": _median([b.cpu for _, b in pairs]),
        "ratio": _median([b.cpu / a.cpu for a, b in pairs], 2),
        "ours_wall_seconds": _median([a.wall for a, _ in pairs]),
        "theirs_wall_seconds": _median([b.wall for _, b in pairs]),
        "wall_ratio": _median([b.wall / a.wall for a, b in pairs], 2),
        "ours_peak_mib": _median([a.peak_mib for a, _ in pairs], 1),
        "theirs_peak_mib": _median([b.peak_mib for _, b in pairs], 1),
    }


def spent_by(side: Callable[[], object]) -> Spent:
    """Runs one side once."""
    gc.collect()
    _forget_peak()
    cpu, wall = time.process_time(), time.perf_counter()
    side()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Spent(max(cpu, 1e-9), max(wall, 1e-9), _peak())


def _forget_peak() -> None:
    """Lets the kernel measure the peak of memory afresh. Linux alone."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return


def _peak() -> float | None:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)


def _median(values: list[float] | list[float | None], digits: int = 4) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), digits) if known else None
