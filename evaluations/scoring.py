"""Records of one clean scoring pass, and their reading back against the truth. Shared by evaluations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from evaluations.spec import Coverage, EvaluationError, Metric, MetricStatus, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Model, Scores

LABELS = b"labels"  # key of the schema metadata: class names in output order, as JSON


@dataclass(frozen=True)
class Scored:
    """Predictions beside the truth, ascending by example id. n rows, K classes."""

    labels: tuple[str, ...]
    rows: NDArray[np.int64]  # row numbers in the data set
    truth: NDArray[np.int64]  # class indices
    probs: NDArray[np.float64]  # (n, K); NaN where errors
    errors: NDArray[np.bool_]

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Most probable class; only meaningful where there is no error."""
        return np.argmax(np.nan_to_num(self.probs), axis=1)

    @property
    def error_rate(self) -> float:
        return float(self.errors.mean())

    def answered(self) -> Scored:
        """Without the error rows."""
        keep = ~self.errors
        return replace(
            self,
            rows=self.rows[keep],
            truth=self.truth[keep],
            probs=self.probs[keep],
            errors=self.errors[keep],
        )

    def filled(self, how: Literal["worst", "best"]) -> Scored:
        """Error rows counted as certain and wrong (worst) or certain and right (best)."""
        answer = self.truth if how == "best" else (self.truth + 1) % len(self.labels)
        probs = self.probs.copy()
        probs[self.errors] = np.eye(len(self.labels))[answer[self.errors]]
        return replace(self, probs=probs, errors=np.zeros_like(self.errors))

    def coverage(self) -> Coverage:
        failed = int(self.errors.sum())
        return Coverage(attempted=self.n, scored=self.n - failed, failed=failed)


def score_shard(model: Model, data: Dataset, ctx: Context, rows: NDArray[np.int64]) -> ShardState:
    """Scores `rows` and hands over answers only: ids, probabilities, errors. Never the truth."""
    data.class_indices(model.labels)  # refuse a label mismatch before the work, not after it
    scores = ctx.predictions(model, data, rows)
    return ShardState(records_of(data, rows, scores, model.labels), {"errors": int(scores.errors.sum())})


def records_of(data: Dataset, rows: NDArray[np.int64], scores: Scores, labels: Sequence[str]) -> pa.Table:
    return pa.table(
        {
            "example_id": pa.array(data.ids[rows].tolist(), pa.string()),
            "probs": probs_column(scores.probs, scores.errors),
        }
    ).replace_schema_metadata({LABELS: json.dumps(list(labels)).encode()})


def probs_column(probs: NDArray[np.float64], errors: NDArray[np.bool_]) -> pa.Array:
    return pa.array(
        [None if e else p for p, e in zip(probs.tolist(), errors, strict=True)], pa.list_(pa.float64())
    )


def all_rows(data: Dataset, shard: Shard) -> NDArray[np.int64]:
    return np.arange(shard.start, min(shard.stop, data.rows), dtype=np.int64)


def collect(states: Sequence[ShardState], data: Dataset, ctx: Context) -> Scored:
    """The records of all rows of the data set, checked. Raises `bad_records` for what no honest run writes."""
    table, labels = join(states, {"probs": pa.list_(pa.float64())}, data, np.arange(data.rows), ctx)
    order = np.argsort(data.ids, kind="stable")
    probs, errors = read_probs(table.column("probs"), len(labels))
    return Scored(labels, order, data.class_indices(labels)[order], probs, errors)


def join(
    states: Sequence[ShardState],
    columns: dict[str, pa.DataType],
    data: Dataset,
    rows: NDArray[np.int64],
    ctx: Context,
) -> tuple[pa.Table, tuple[str, ...]]:
    """All records in one table, ascending by example id: exactly one per row of `rows`. Also the class names."""
    schema = pa.schema({"example_id": pa.string(), **columns})
    metadata = {(s.records.schema.metadata or {}).get(LABELS, b"[]") for s in states}
    for state in states:
        if not state.records.schema.equals(schema):
            raise EvaluationError(
                "bad_records",
                f"A shard has the columns {state.records.schema.names}, not {schema.names}. Run it again.",
            )
    labels = _labels(metadata, ctx)
    table = (
        pa.concat_tables([s.records.replace_schema_metadata(None) for s in states])
        if states
        else schema.empty_table()
    )
    ids = np.array(table.column("example_id").to_pylist(), dtype=object)
    expected = np.sort(data.ids[rows])
    order = np.argsort(ids.astype(str), kind="stable")
    if (
        len(ids) != len(expected)
        or any(i is None for i in ids)
        or not np.array_equal(ids[order].astype(str), expected)
    ):
        raise EvaluationError(
            "bad_records",
            f"The records do not cover the examples one for one ({len(ids)} records, {len(expected)} examples). "
            "Run the evaluation again.",
        )
    return table.take(order), labels


def _labels(metadata: set[bytes], ctx: Context) -> tuple[str, ...]:
    """The class names that the shards agree on, and that the request names where it names any."""
    try:
        (only,) = metadata
        labels = tuple(str(label) for label in json.loads(only))
    except (ValueError, TypeError) as error:
        raise EvaluationError(
            "bad_records", "The shards name different classes. Run the evaluation again."
        ) from error
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise EvaluationError("bad_records", "The shards name fewer than two distinct classes. Run it again.")
    if ctx.request.model.labels and labels != ctx.request.model.labels:
        raise EvaluationError(
            "bad_records", "The shards name other classes than the registered ones. Run it again."
        )
    return labels


def read_probs(column: pa.ChunkedArray, classes: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n, K) probabilities and the error mask of a list column. A row that is no distribution is refused."""
    values = column.to_pylist()
    errors = np.array([v is None for v in values], dtype=bool)
    blank = [np.nan] * classes
    try:
        probs = np.array([blank if v is None else v for v in values], dtype=np.float64).reshape(
            len(values), classes
        )
    except (ValueError, TypeError) as error:
        raise EvaluationError(
            "bad_records", "A record has the wrong number of probabilities. Run it again."
        ) from error
    kept = probs[~errors]
    if not (np.isfinite(kept).all() and (kept >= 0).all() and (np.abs(kept.sum(axis=1) - 1) <= 1e-2).all()):
        raise EvaluationError("bad_records", "A record holds values that are no probabilities. Run it again.")
    return probs, errors


def too_many_errors(scored: Scored, limit: float) -> str:
    """Why nothing can be estimated, or "" where the share of errors is within the limit."""
    if scored.error_rate > limit:
        return (
            f"The model gave no answer for {int(scored.errors.sum())} of {scored.n} examples, more than the "
            f"{limit:.0%} that the parameters allow."
        )
    if scored.errors.all():
        return "The model gave no answer to any example."
    return ""


def not_estimable(name: str, n: int, reason: str, slice: str = "all") -> Metric:
    return Metric(name=name, value=None, n=n, slice=slice, status=MetricStatus.NOT_ESTIMABLE, reason=reason)
