"""What every plan shares: cutting rows into shards."""

from __future__ import annotations

from evaluations.spec import Shard

SHARD_ROWS = 8192  # one pass of a few seconds; what is lost when a run is killed


def shards(rows: int, size: int = SHARD_ROWS) -> tuple[Shard, ...]:
    """Consecutive shards of at most `size` rows."""
    starts = range(0, rows, size)
    return tuple(Shard(i, start, min(start + size, rows)) for i, start in enumerate(starts))
