"""Records: one row of answers per example, handed from the process with the model to the one with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute

from evaluations.spec import EvaluationError, Metric, MetricStatus, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

MOST_GROUPS = 50  # of a column, each with a number of its own


def table_of(data: Dataset, rows: NDArray[np.int64], columns: dict[str, pa.Array]) -> pa.Table:
    """A table with the ids of `rows` and the answers in `columns`, one per row."""
    return pa.table({"example_id": pa.array(data.ids[rows].tolist(), pa.string()), **columns})


def all_rows(data: Dataset, shard: Shard) -> NDArray[np.int64]:
    """The rows of a shard of the whole data set."""
    return np.arange(shard.start, min(shard.stop, data.rows), dtype=np.int64)


def join(
    states: Sequence[ShardState], columns: dict[str, pa.DataType], data: Dataset, rows: NDArray[np.int64]
) -> pa.Table:
    """All records in one table, ascending by example id: exactly one per row of `rows`.

    The row numbers in the same order are `rows_by_id(data, rows)`. Raises EvaluationError
    `bad_records` for what no honest run writes.
    """
    schema = pa.schema({"example_id": pa.string(), **columns})
    for state in states:
        if not state.records.schema.equals(schema):
            raise EvaluationError(
                "bad_records",
                f"A shard has the columns {state.records.schema.names}, not {schema.names}. Run it again.",
            )
    table = pa.concat_tables(
        [schema.empty_table(), *(s.records.replace_schema_metadata(None) for s in states)]
    )
    order = rows_by_id(data, rows)
    place = pyarrow.compute.index_in(
        pa.array(data.ids[order].tolist(), pa.string()), value_set=table.column("example_id").combine_chunks()
    )
    # As many records as examples, and each example among them: then each comes exactly once.
    if table.num_rows != len(order) or place.null_count:
        raise EvaluationError(
            "bad_records",
            f"The records do not cover the examples one for one ({table.num_rows} records, {len(order)} examples). "
            "Run the evaluation again.",
        )
    return table.take(place)


def rows_by_id(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """`rows` ascending by example id: the order in which `join` gives the records."""
    rank: NDArray[np.int64] = np.empty(data.rows, dtype=np.int64)
    rank[data.by_id] = np.arange(data.rows)
    return rows[np.argsort(rank[rows], kind="stable")]


def too_many_errors(errors: int, n: int, limit: float) -> str:
    """Why nothing can be estimated, or "" where the share of examples without an answer is within the limit."""
    if errors > limit * n:
        return (
            f"The model gave no answer for {errors} of {n} examples, more than the "
            f"{limit:.0%} that the parameters allow."
        )
    if errors == n:
        return "The model gave no answer to any example."
    return ""


def too_many_groups(column: str, groups: int) -> str:
    """Why the groups of a column are not shown one by one, or "" where they are few enough to be read."""
    if groups <= MOST_GROUPS:
        return ""
    return f"{column!r} has {groups} distinct values; group them into at most {MOST_GROUPS}."


def not_estimable(name: str, n: int, reason: str, slice: str = "all") -> Metric:
    """A metric without a number, and why."""
    return Metric(name=name, value=None, n=n, slice=slice, status=MetricStatus.NOT_ESTIMABLE, reason=reason)
