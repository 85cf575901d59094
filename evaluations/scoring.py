"""One clean scoring pass of a classifier: its records, and their reading back against the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from evaluations import records
from evaluations.records import all_rows, not_estimable
from evaluations.spec import Access, Coverage, EvaluationError, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier

__all__ = ["LABELS", "Scored", "all_rows", "collect", "not_estimable", "score_shard", "too_many_errors"]

PROBS = pa.schema({"probs": pa.list_(pa.float64())})
LABELS = b"labels"  # key of the schema metadata: class names in output order, as JSON
GRADED = b"graded"  # the same: "no" where the model names a class and states no probabilities


@dataclass(frozen=True)
class Scored:
    """Predictions beside the truth, ascending by example id. n rows, K classes."""

    labels: tuple[str, ...]
    rows: NDArray[np.int64]  # row numbers in the data set
    truth: NDArray[np.int64]  # class indices
    probs: NDArray[np.float64]  # (n, K); NaN where errors
    errors: NDArray[np.bool_]
    graded: bool = True  # False: the model names a class alone, and each row is one-hot for it
    clusters: NDArray[np.str_] | None = None  # whose rows are not independent of each other

    @property
    def n(self) -> int:
        return len(self.rows)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Most probable class; only meaningful where there is no error."""
        return np.argmax(np.nan_to_num(self.probs), axis=1)

    @property
    def error_rate(self) -> float:
        return float(self.errors.mean())

    def answered(self) -> Scored:
        """Without the error rows."""
        return self.only(~self.errors) if self.errors.any() else self

    def only(self, keep: NDArray[np.bool_]) -> Scored:
        """The rows in the mask `keep`."""
        return replace(
            self,
            rows=self.rows[keep],
            truth=self.truth[keep],
            probs=self.probs[keep],
            errors=self.errors[keep],
            clusters=None if self.clusters is None else self.clusters[keep],
        )

    def filled(self, how: Literal["worst", "best"]) -> Scored:
        """Error rows counted as certain and wrong (worst) or certain and right (best)."""
        if not self.errors.any():
            return self
        answer = self.truth if how == "best" else (self.truth + 1) % len(self.labels)
        probs = self.probs.copy()
        probs[self.errors] = np.eye(len(self.labels))[answer[self.errors]]
        return replace(self, probs=probs, errors=np.zeros_like(self.errors))

    def outcomes_of(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same rows in the order of `rows`: 1 where right, 0 where wrong, NaN without an answer."""
        by_row = np.empty(int(self.rows.max(initial=-1)) + 1)
        by_row[self.rows] = np.where(self.errors, np.nan, self.predicted == self.truth)
        return by_row[rows]

    def coverage(self) -> Coverage:
        failed = int(self.errors.sum())
        return Coverage(attempted=self.n, scored=self.n - failed, failed=failed)


def score_shard(model: Classifier, data: Dataset, ctx: Context, rows: NDArray[np.int64]) -> ShardState:
    """Scores `rows` and hands over answers only: ids, probabilities, errors. Never the truth."""
    data.class_indices(model.labels)  # refuse a label mismatch before the work, not after it
    scores = ctx.predictions(model, data, rows)
    table = records.table_of(data, rows, {"probs": probs_column(scores.probs, scores.errors)})
    graded = Access.PROBS in model.access
    return ShardState(with_labels(table, model.labels, graded), {"errors": int(scores.errors.sum())})


def outcomes(model: Classifier, data: Dataset, ctx: Context, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Asks about `rows`: 1 where the model is right, 0 where wrong, NaN without an answer."""
    truth = data.class_indices(model.labels)
    scores = ctx.predictions(model, data, rows)
    return Scored(model.labels, rows, truth[rows], scores.probs, scores.errors).outcomes_of(rows)


def with_labels(table: pa.Table, labels: Sequence[str], graded: bool = True) -> pa.Table:
    """The table with the class names, in output order, and whether it holds probabilities in its metadata."""
    more = {} if graded else {GRADED: b"no"}
    return table.replace_schema_metadata({LABELS: json.dumps(list(labels)).encode(), **more})


def probs_column(probs: NDArray[np.float64], errors: NDArray[np.bool_]) -> pa.Array:
    """(n, K) probabilities as a list column, null where `errors`."""
    n, classes = probs.shape
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * classes)
    values = pa.array(np.ascontiguousarray(probs, dtype=np.float64).ravel())
    return pa.ListArray.from_arrays(offsets, values, mask=pa.array(errors))


def collect(
    states: Sequence[ShardState], data: Dataset, ctx: Context, rows: NDArray[np.int64] | None = None
) -> Scored:
    """The records of `rows` (None: of all), checked. Raises `bad_records` for what no honest run writes."""
    every: NDArray[np.int64] = np.arange(data.rows) if rows is None else rows
    table = records.join(states, {"probs": pa.list_(pa.float64())}, data, every)
    labels = labels_of(states, ctx)
    order = records.rows_by_id(data, every)
    probs, errors = read_probs(table.column("probs"), len(labels))
    graded = all(GRADED not in (s.records.schema.metadata or {}) for s in states)
    clusters = None if data.clusters is None else data.clusters[order]
    return Scored(labels, order, data.class_indices(labels)[order], probs, errors, graded, clusters)


def labels_of(states: Sequence[ShardState], ctx: Context) -> tuple[str, ...]:
    """The class names that the shards agree on, and that the request names where it names any."""
    metadata = {(s.records.schema.metadata or {}).get(LABELS, b"[]") for s in states}
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
    values = column.combine_chunks()
    errors = np.asarray(values.is_null())
    lengths = np.asarray(values.value_lengths().fill_null(classes))
    flat = values.flatten()  # of the rows that are not null
    if flat.null_count or (lengths != classes).any() or len(flat) != classes * int((~errors).sum()):
        raise EvaluationError("bad_records", "A record has the wrong number of probabilities. Run it again.")
    probs = np.full((len(values), classes), np.nan)
    kept = flat.to_numpy().reshape(-1, classes)
    if not (np.isfinite(kept).all() and (kept >= 0).all() and (np.abs(kept.sum(axis=1) - 1) <= 1e-2).all()):
        raise EvaluationError("bad_records", "A record holds values that are no probabilities. Run it again.")
    probs[~errors] = kept
    return probs, errors


def too_many_errors(scored: Scored, limit: float) -> str:
    """Why nothing can be estimated, or "" where the share of errors is within the limit."""
    return records.too_many_errors(int(scored.errors.sum()), scored.n, limit)
