"""Columns of a table as they may be changed: numbers within a range, categories among those seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute

from evaluations.spec import Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

GRID = 20  # steps between the quantiles that are tried
MOST_LEVELS = 1000  # texts with more distinct values are free text, or names
EXACT = 2.0**53  # whole numbers beyond this are not all floats
LARGEST = 1e150  # differences of what is larger have no finite square


@dataclass(frozen=True)
class Column:
    """One column. A cell is a float: the number itself, or the place of the category in `levels`; NaN where missing."""

    name: str
    dtype: Any  # numpy's, of a number: what it is stored as
    levels: tuple[Any, ...] = ()  # of a category: the values seen, texts or truth values, sorted
    frequent: tuple[int, ...] = ()  # places of the levels, the most frequent first
    seen: tuple[float, ...] = ()  # of a number: quantiles of the values seen, ascending
    low: float = 0.0
    high: float = 0.0
    scale: float = 1.0  # what a change is measured in
    whole: bool = False  # only whole numbers occur
    direction: Literal["", "up", "down"] = ""

    @property
    def numeric(self) -> bool:
        return not self.levels

    def within(self, low: float, high: float) -> Column:
        return replace(self, low=low, high=high)

    def fitted(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The nearest numbers that the column can hold, whole where it is, within its bounds."""
        values = np.rint(values) if self.whole else values
        with np.errstate(over="ignore"):
            held = np.clip(values, self.low, self.high).astype(self.dtype)
            if self.dtype.kind == "f":  # rounding may have led out of the bounds
                exact = held.astype(np.float64)
                held = np.where(exact > self.high, np.nextafter(held, self.dtype.type(-np.inf)), held)
                held = np.where(exact < self.low, np.nextafter(held, self.dtype.type(np.inf)), held)
        return held.astype(np.float64)

    def cost(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
        """|change| / scale of a number, 1 for another category; 0 where both are missing."""
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        if not self.numeric:
            return np.where(same, 0.0, 1.0)
        return np.where(same, 0.0, np.abs(after - before) / self.scale)

    def feasible(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each change is allowed. What is as before always is; what is missing stays missing."""
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        if not self.numeric:
            allowed = np.isin(after, np.arange(len(self.levels))) & ~np.isnan(before)
            return np.asarray(same | allowed)
        with np.errstate(invalid="ignore"):
            allowed = (
                (after >= self.low) & (after <= self.high) & (after == self.fitted(np.nan_to_num(after)))
            )
            allowed &= (after >= before) if self.direction == "up" else True
            allowed &= (after <= before) if self.direction == "down" else True
        return np.asarray(same | allowed)

    def shown(self, cell: float) -> str:
        """The cell as people read it."""
        if np.isnan(cell):
            return "(missing)"
        if not self.numeric:
            return str(self.levels[int(cell)])
        return f"{cell:.0f}" if self.whole else f"{cell:.6g}"


def cells(data: Dataset, column: Column, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) cells of `rows`. What is infinite is left alone, as what is missing is."""
    values = data.table.column(column.name).take(rows)
    if column.numeric:
        numbers = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
        return np.where(np.isfinite(numbers), numbers, np.nan)
    places = {level: float(i) for i, level in enumerate(column.levels)}
    return np.array([places.get(value, np.nan) for value in values.to_pylist()], dtype=np.float64)


def stored(column: Column, cells: NDArray[np.float64]) -> list[Any]:
    """Cells as plain values, None where missing."""
    found: list[Any] = []
    for cell in cells:
        if np.isnan(cell):
            found.append(None)
        elif not column.numeric:
            found.append(column.levels[int(cell)])
        else:
            found.append(int(cell) if column.dtype.kind in "iu" else float(cell))
    return found


def described(data: Dataset, name: str) -> Column | str:
    """The column over the whole data set, or why it cannot be changed."""
    values = data.table.column(name).combine_chunks()
    kind = values.type
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _category(name, values)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _number(name, values)
    return f"holds {kind}"


def _category(name: str, values: pa.Array) -> Column | str:
    counted = pyarrow.compute.value_counts(values.drop_null())
    if len(counted) > MOST_LEVELS:
        return f"has more than {MOST_LEVELS:,} distinct texts"
    counts = {entry["values"]: entry["counts"] for entry in counted.to_pylist()}
    if len(counts) < 2:
        return "has fewer than two distinct values"
    levels = tuple(sorted(counts))
    frequent = sorted(range(len(levels)), key=lambda place: (-counts[levels[place]], place))
    return Column(name, np.dtype(object), levels, tuple(frequent))


def _number(name: str, values: pa.Array) -> Column | str:
    dtype = np.dtype(values.type.to_pandas_dtype())
    numbers = np.asarray(values.cast(pa.float64(), safe=False).drop_null(), dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) == 0 or numbers.min() == numbers.max():
        return "has fewer than two distinct values"
    if np.abs(numbers).max() > (EXACT if dtype.kind in "iu" else LARGEST):
        return "holds numbers too large to reckon with"
    quartiles = np.quantile(numbers, [0.25, 0.75])
    scale = float(quartiles[1] - quartiles[0]) or float(numbers.std())
    return Column(
        name,
        dtype,
        seen=tuple(np.unique(np.quantile(numbers, np.linspace(0, 1, GRID + 1), method="nearest")).tolist()),
        low=float(numbers.min()),
        high=float(numbers.max()),
        scale=scale,
        whole=bool((numbers == np.rint(numbers)).all() and np.abs(numbers).max() <= EXACT),
    )


def inputs(data: Dataset) -> list[str]:
    """Columns that a model may be fed: inputs, then sensitive ones."""
    return [*data.ref.columns(Role.INPUT), *data.ref.columns(Role.SENSITIVE)]
