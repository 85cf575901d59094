"""What an attacker of a table may change: columns, bounds and directions, from the parameters and the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from evaluations.data.columns import names_of
from evaluations.robustness import tabular_columns
from evaluations.robustness.tabular_columns import Column
from evaluations.spec import EvaluationError, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset
    from evaluations.robustness.tabular_evasion import EvasionParams


@dataclass(frozen=True)
class Space:
    """The D columns that may be changed, in the order of the data set, and why the others may not."""

    columns: tuple[Column, ...]
    fixed: dict[str, str]

    def cells(self, data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, D)"""
        return np.column_stack([tabular_columns.cells(data, column, rows) for column in self.columns])

    def costs(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, D) of (n, D) rows each: |change| / scale, 1 for another category."""
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        each = np.where(self._numeric, np.abs(after - before) / self._scales, 1.0)
        return np.where(same, 0.0, each)

    def cost(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) of (n, D) rows each: the sum of `costs`."""
        return np.asarray(self.costs(before, after).sum(axis=1), dtype=np.float64)

    @cached_property
    def _numeric(self) -> NDArray[np.bool_]:
        return np.array([column.numeric for column in self.columns], dtype=bool)

    @cached_property
    def _scales(self) -> NDArray[np.float64]:
        return np.array([column.scale for column in self.columns], dtype=np.float64)

    def feasible(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,)"""
        each = [c.feasible(before[:, d], after[:, d]) for d, c in enumerate(self.columns)]
        return np.asarray(np.all(each, axis=0))

    def told(self) -> str:
        """In words: which columns could be changed, and how far."""
        told = [f"{column.name[:60]!r} ({_reach(column)})" for column in self.columns]
        return "Could be changed: " + ", ".join(told[:30]) + (" and more" if len(told) > 30 else "") + "."


def _reach(column: Column) -> str:
    if not column.numeric:
        return f"any of {len(column.levels)} categories"
    kind = "whole numbers" if column.whole else "numbers"
    way = {"": "", "up": ", upwards only", "down": ", downwards only"}[column.direction]
    return f"{kind} from {column.low:.6g} to {column.high:.6g}{way}; {column.scale:.6g} costs 1"


def space_of(data: Dataset, params: EvasionParams) -> Space:
    """Raises EvaluationError where the parameters name what is not there, or nothing can be changed."""
    inputs = data.ref.columns(Role.INPUT)
    named = {
        "mutable": params.mutable,
        "immutable": params.immutable,
        "bounds": tuple(params.bounds),
        "increase_only": params.increase_only,
        "decrease_only": params.decrease_only,
    }
    known = tabular_columns.inputs(data)
    for field, names in named.items():
        if unknown := [name for name in names if name not in known]:
            raise EvaluationError(
                "unknown_column",
                f"The parameter {field} names {names_of(unknown)}, which no input column is called. The input columns "
                f"are {names_of(known)}.",
            )
    columns: list[Column] = []
    fixed: dict[str, str] = {}
    for name in known:
        found = tabular_columns.described(data, name)
        if name in params.immutable:
            fixed[name] = "named as immutable"
        elif params.mutable and name not in params.mutable:
            fixed[name] = "not named as mutable"
        elif isinstance(found, str):
            fixed[name] = found
        elif not params.mutable and name not in inputs:
            fixed[name] = "a sensitive column"
        elif not params.mutable and not found.numeric:
            fixed[name] = "a category"
        else:
            columns.append(_limited(found, params))
    if not columns:
        why = "; ".join(f"{name[:60]!r}: {reason}" for name, reason in list(fixed.items())[:12])
        raise EvaluationError(
            "nothing_mutable",
            f"No column can be changed ({why}). Name columns, categories too, in the parameter mutable.",
            skipped=True,
        )
    return Space(tuple(columns), fixed)


def _limited(column: Column, params: EvasionParams) -> Column:
    bounds = params.bounds.get(column.name)
    up, down = column.name in params.increase_only, column.name in params.decrease_only
    if not column.numeric:
        if bounds is not None or up or down:
            raise EvaluationError(
                "column_not_number",
                f"The column {column.name[:60]!r} holds categories, which have no bounds and no direction.",
            )
        return column
    if bounds is not None:
        low, high = bounds
        if column.dtype.kind in "iu":
            held = np.iinfo(column.dtype)
            low, high = max(low, float(held.min)), min(high, float(held.max))
        if column.whole:
            low, high = float(np.ceil(low)), float(np.floor(high))
        if low > high:
            raise EvaluationError(
                "bounds_empty", f"Between the bounds of {column.name[:60]!r} lies no value that it can hold."
            )
        column = column.within(low, high)
    return replace(column, direction="up" if up else "down" if down else "")
