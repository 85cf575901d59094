"""Times two ways of doing the same thing, alternating, so that a busy machine slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def alternate(
    ours: Callable[[], object], theirs: Callable[[], object], runs: int = 5
) -> dict[str, float | int]:
    """Median CPU seconds of each side and the median of the paired ratios theirs / ours, in one process."""
    pairs = []
    for i in range(runs):
        order = (ours, theirs) if i % 2 == 0 else (theirs, ours)
        spent = {}
        for side in order:
            start = time.process_time()
            side()
            spent[side] = time.process_time() - start
        pairs.append((spent[ours], spent[theirs]))
    return {
        "runs": runs,
        "ours_cpu_seconds": round(statistics.median(a for a, _ in pairs), 4),
        "theirs_cpu_seconds": round(statistics.median(b for _, b in pairs), 4),
        "ratio": round(statistics.median(b / a for a, b in pairs), 2),
    }
