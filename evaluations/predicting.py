"""One clean pass of a model that predicts numbers: its records, and their reading back against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from evaluations import records
from evaluations.data.columns import LARGEST
from evaluations.spec import Coverage, EvaluationError, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Regressor

COLUMNS = {"value": pa.float64(), "low": pa.float64(), "high": pa.float64()}


@dataclass(frozen=True)
class Predicted:
    """Predictions beside the truth, ascending by example id. n rows; NaN where errors."""

    rows: NDArray[np.int64]  # row numbers in the data set
    truth: NDArray[np.float64]
    values: NDArray[np.float64]
    errors: NDArray[np.bool_]
    low: NDArray[np.float64] | None  # ends of the model's own prediction interval
    high: NDArray[np.float64] | None

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def seen(self) -> tuple[float, float]:
        """The range of the truth and of the answers."""
        held = np.concatenate([self.truth, self.values[~self.errors]])
        return float(held.min()), float(held.max())

    def filled(self, how: Literal["worst", "best"]) -> NDArray[np.float64]:
        """(n,) predictions, the missing ones as far off as any truth or answer lies from theirs, or exactly right."""
        low, high = self.seen
        far = np.where(self.truth - low > high - self.truth, low, high)  # the farther end of the range
        return np.where(self.errors, self.truth if how == "best" else far, self.values)

    def answered(self) -> Predicted:
        """Without the error rows."""
        keep = ~self.errors
        return replace(
            self,
            rows=self.rows[keep],
            truth=self.truth[keep],
            values=self.values[keep],
            errors=self.errors[keep],
            low=None if self.low is None else self.low[keep],
            high=None if self.high is None else self.high[keep],
        )

    def coverage(self) -> Coverage:
        failed = int(self.errors.sum())
        return Coverage(attempted=self.n, scored=self.n - failed, failed=failed)


def predict_shard(model: Regressor, data: Dataset, ctx: Context, rows: NDArray[np.int64]) -> ShardState:
    """Asks about `rows` and hands over answers only: ids, values, bounds; nulls where there is no answer."""
    _ = data.numeric_truth  # refuse a target that is no number before the work, not after it
    table = numbers(model, data, ctx, rows)
    held = {name: table.column(name).combine_chunks() for name in COLUMNS}
    errors = int(held["value"].null_count)
    return ShardState(records.table_of(data, rows, held), {"errors": errors})


def numbers(
    model: Regressor, data: Dataset, ctx: Context, rows: NDArray[np.int64], sample: int = 0
) -> pa.Table:
    """Values and bounds of `rows`, nulls where there is no answer, or one beyond LARGEST, which is none.

    `sample` numbers repeated questions.
    """

    def ask(positions: NDArray[np.int64]) -> pa.Table:
        found = model.predict(data.inputs(rows[positions], model.columns))
        bare = np.full(len(positions), np.nan)
        columns = {"value": found.values, "low": found.low, "high": found.high}
        given = {name: bare if values is None else values for name, values in columns.items()}
        beyond = np.any([np.abs(values) > LARGEST for values in given.values()], axis=0)
        return pa.table(
            {
                name: pa.array(np.where(beyond, np.nan, values), pa.float64(), from_pandas=True)
                for name, values in given.items()
            }
        )

    again = {"sample": sample} if sample else {}
    return ctx.answers(model, "numbers", data.ids[rows], ask, "predicting", pa.schema(COLUMNS), **again)


def collect(states: Sequence[ShardState], data: Dataset) -> Predicted:
    """The records of all rows of the data set, checked. Raises `bad_records` for what no honest run writes."""
    every: NDArray[np.int64] = np.arange(data.rows)
    table = records.join(states, COLUMNS, data, every)
    values, low, high = (
        np.asarray(table.column(name).to_numpy(), dtype=np.float64) for name in ("value", "low", "high")
    )
    errors = np.isnan(values)
    bounded = ~np.isnan(low)
    kept = np.concatenate([values[~errors], low[bounded], high[bounded]])
    if not (np.abs(kept) <= LARGEST).all() or not np.array_equal(bounded, ~np.isnan(high)):
        raise EvaluationError("bad_records", "A record holds values that are no numbers. Run it again.")
    if bounded.any() and not np.array_equal(bounded, ~errors):
        raise EvaluationError("bad_records", "Some records have bounds and others none. Run it again.")
    order = records.rows_by_id(data, every)
    return Predicted(
        order,
        data.numeric_truth[order],
        values,
        errors,
        low if bounded.any() else None,
        high if bounded.any() else None,
    )
