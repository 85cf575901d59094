"""What a shift does to rows: which cells change, and to what. The same in the process with the model and in `merge`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.robustness import tabular_columns
from evaluations.robustness.tabular_columns import Column
from evaluations.robustness.tabular_shift_names import Shift, shifts_of
from evaluations.spec import EvaluationError, Role

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.tabular_shift import ShiftParams

MADE = "shifts/1"  # changes when the same draw gives another row


@dataclass(frozen=True)
class Change:
    """Of one column, for n rows: where it changes, and the new values (None: missing)."""

    here: NDArray[np.bool_]
    values: NDArray[np.object_]
    dtype: Any = None  # of whole numbers: what holds the new ones


@dataclass(frozen=True)
class Shifter:
    """Shifts the input columns of a data set, whether the model reads them or not."""

    data: Dataset
    ctx: Context

    @cached_property
    def inputs(self) -> list[str]:
        return self.data.ref.columns(Role.INPUT)

    @cached_property
    def numbers(self) -> list[Column]:
        found = [tabular_columns.described(self.data, name) for name in self.inputs]
        return [column for column in found if not isinstance(column, str) and column.numeric]

    @cached_property
    def deviations(self) -> NDArray[np.float64]:
        every = np.arange(self.data.rows)
        cells = [tabular_columns.cells(self.data, column, every) for column in self.numbers]
        return np.array([np.nanstd(column) for column in cells])

    @cached_property
    def texts(self) -> list[str]:
        kinds = {name: self.data.table.column(name).type for name in self.inputs}
        return [n for n, kind in kinds.items() if pa.types.is_string(kind) or pa.types.is_large_string(kind)]

    def possible(self, params: ShiftParams) -> list[Shift]:
        """The shifts for which there is a column that they can change; for missing values there always is."""
        columns = {
            "missing": self.inputs,
            "noise": self.numbers,
            "units": self.numbers,
            "typos": self.texts,
        }
        found = [shift for shift in shifts_of(params) if columns[shift.kind]]
        if not found:
            raise EvaluationError(
                "nothing_shifted",
                "No input column is of a kind that the shifts change: noise and units change numbers, typos texts. "
                "Ask for missing values.",
                skipped=True,
            )
        return found

    def changes(self, rows: NDArray[np.int64], shift: Shift) -> dict[str, Change]:
        """By column. A row's draws depend on its id and the kind, so a larger amount changes more of the same."""
        rngs = [self.ctx.rng(f"{self.data.ids[row]}:shift:{shift.kind}") for row in rows]
        make = {
            "missing": self._missing,
            "noise": self._noise,
            "units": self._units,
            "typos": self._typos,
        }[shift.kind]
        return make(rows, shift.amount, rngs)

    def _missing(
        self, rows: NDArray[np.int64], share: float, rngs: list[np.random.Generator]
    ) -> dict[str, Change]:
        draws = np.array([rng.random(len(self.inputs)) for rng in rngs])
        none: NDArray[np.object_] = np.full(len(rows), None, dtype=object)
        found = {}
        for c, name in enumerate(self.inputs):
            here = np.asarray(self.data.table.column(name).take(rows).is_valid()) & (draws[:, c] < share)
            found[name] = Change(here, none)
        return found

    def _noise(
        self, rows: NDArray[np.int64], times: float, rngs: list[np.random.Generator]
    ) -> dict[str, Change]:
        draws = np.array([rng.normal(size=len(self.numbers)) for rng in rngs])
        found = {}
        for c, column in enumerate(self.numbers):
            old = tabular_columns.cells(self.data, column, rows)
            new = old + times * self.deviations[c] * draws[:, c]
            found[column.name] = _numbers(column, old, np.rint(new) if column.whole else new, column.dtype)
        return found

    def _units(
        self, rows: NDArray[np.int64], factor: float, rngs: list[np.random.Generator]
    ) -> dict[str, Change]:
        old = np.array([tabular_columns.cells(self.data, column, rows) for column in self.numbers])
        draws = np.array([rng.random() for rng in rngs])
        possible = np.isfinite(old) & (old != 0)  # (C, n)
        counts = possible.sum(axis=0)
        nth = np.minimum((draws * counts).astype(np.int64), counts - 1)
        chosen = possible & (np.cumsum(possible, axis=0) - 1 == nth)
        found = {}
        for c, column in enumerate(self.numbers):
            # what is stored as whole numbers holds larger ones in a wider type, and parts in no type of its kind
            wider = np.dtype(np.int64) if factor > 1 and float(factor).is_integer() else np.dtype(np.float64)
            dtype = wider if column.dtype.kind in "iu" else column.dtype
            found[column.name] = _numbers(column, old[c], np.where(chosen[c], old[c] * factor, old[c]), dtype)
        return found

    def _typos(
        self, rows: NDArray[np.int64], share: float, rngs: list[np.random.Generator]
    ) -> dict[str, Change]:
        draws = np.array([rng.random((len(self.texts), 3)) for rng in rngs])
        found = {}
        for c, name in enumerate(self.texts):
            old = self.data.table.column(name).take(rows).to_pylist()
            new = [
                text if text is None else misspelt(text, float(way), float(place))
                for text, (_, way, place) in zip(old, draws[:, c], strict=True)
            ]
            differs = np.array([a != b for a, b in zip(old, new, strict=True)], dtype=bool)
            values: NDArray[np.object_] = np.empty(len(rows), dtype=object)
            values[:] = new
            found[name] = Change(differs & (draws[:, c, 0] < share), values)
        return found


def _numbers(column: Column, old: NDArray[np.float64], new: NDArray[np.float64], dtype: Any) -> Change:
    """Numbers within what `dtype` holds."""
    here = np.isfinite(old) & (new != old)
    filled = np.where(here, new, 0.0)
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        exact = 2.0**62  # the next float within int64
        filled = np.rint(np.clip(filled, max(float(ends.min), -exact), min(float(ends.max), exact)))
    elif dtype.itemsize < 8:
        most = float(np.finfo(dtype).max)
        filled = np.clip(filled, -most, most)
    return Change(here, filled.astype(dtype).astype(object), dtype)


def misspelt(text: str, way: float, place: float) -> str:
    """One letter doubled, left out, or swapped with the next; the draws from [0, 1) say which."""
    if not text:
        return text
    at = int(place * len(text))
    if len(text) == 1 or way < 1 / 3:
        return text[: at + 1] + text[at:]
    if way < 2 / 3:
        return text[:at] + text[at + 1 :]
    at = min(at, len(text) - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def applied(frame: pd.DataFrame, changes: dict[str, Change]) -> pd.DataFrame:
    """The frame with the changes of the columns that it has. Types do not depend on which rows it holds."""
    import pandas as pd

    frame = frame.copy()
    for name, change in changes.items():
        if name not in frame:
            continue
        column = frame[name]
        values = column.to_numpy(dtype=object, copy=True)
        values[change.here] = change.values[change.here]
        dtype: Any = column.dtype
        if dtype.kind in "iu":  # NaN stands for what goes missing
            dtype = np.dtype(np.float64) if change.dtype is None else change.dtype
        elif dtype.kind == "b":
            dtype = np.dtype(object)
        frame[name] = pd.Series(values, index=frame.index, dtype=dtype)
    return frame
