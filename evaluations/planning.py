"""What every plan shares: cutting rows into shards, one clean pass over them."""

from __future__ import annotations

from evaluations.spec import Plan, Shard

SHARD_ROWS = 8192  # one pass of a few seconds; what is lost when a run is killed


def shards(rows: int, size: int = SHARD_ROWS) -> tuple[Shard, ...]:
    """Consecutive shards of at most `size` rows."""
    starts = range(0, rows, size)
    return tuple(Shard(i, start, min(start + size, rows)) for i, start in enumerate(starts))


def sequential_pass(rows: int) -> Plan:
    """Rows are scored one after the other until a rate is settled: one shard, at most every row once."""
    from evaluations.stats import sequential_detectable_effect

    return Plan(
        shards=shards(rows, max(1, rows)),
        expected_queries=rows,
        smallest_detectable_effect=sequential_detectable_effect(rows),
    )


def one_pass(rows: int) -> Plan:
    """Every row is scored once; the smallest detectable effect is that of a proportion near ½."""
    from evaluations.stats import smallest_detectable_effect

    return Plan(
        shards=shards(rows),
        expected_queries=rows,
        smallest_detectable_effect=smallest_detectable_effect(rows),
    )
