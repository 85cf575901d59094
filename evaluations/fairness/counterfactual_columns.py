"""Counterfactual rows: a protected column takes each other value, and the columns that go with it follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from evaluations.data.columns import names_of, text_of
from evaluations.fairness.counterfactual_swaps import in_turn
from evaluations.spec import EvaluationError, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.fairness.counterfactual import CounterfactualParams

MOST_GROUPS = 12  # of a column: more are numbers, or names


@dataclass(frozen=True)
class Flip:
    """One changed row: the values that its columns take."""

    kind: str  # the protected column
    source: str
    target: str
    values: Mapping[str, Any]
    neutral: bool = False


@dataclass(frozen=True)
class Flipper:
    """Changes rows of a data set. `reads` are the columns that the model asks for."""

    data: Dataset
    params: CounterfactualParams
    reads: tuple[str, ...]

    @cached_property
    def levels(self) -> dict[str, dict[str, Any]]:
        """By column that can be changed to effect: the values seen, by their name, in order.

        Raises EvaluationError where there is no such column, or what the parameters name is not in the data.
        """
        asked = self.params.columns or self.data.ref.columns(Role.SENSITIVE)
        if not asked:
            raise EvaluationError(
                "protected_missing",
                "No column has the role 'sensitive', and the parameters name none under columns. Say which column is "
                "protected.",
                skipped=True,
            )
        self._known(asked)
        found = {name: levels_of(self.data.table.column(name)) for name in asked if self._is_read(name)}
        if not found:
            raise EvaluationError(
                "protected_not_read",
                f"The model does not take {names_of(asked)}, nor a column that is declared to go with it: its answers "
                "cannot change with it. That is so by construction, and nothing that was measured. What stands in for "
                "it among the other columns is measured by fairness.group.",
                skipped=True,
            )
        usable = {name: held for name, held in found.items() if 2 <= len(held) <= MOST_GROUPS}
        refused = [name for name in found if name not in usable]
        if refused and (self.params.columns or not usable):
            raise EvaluationError(
                "protected_values",
                f"{names_of(refused)} has fewer than two values, or more than {MOST_GROUPS}. Put its values into "
                "groups, or name another column.",
                skipped=not self.params.columns,
            )
        self._check_descendants(usable)
        return usable

    @cached_property
    def _follow(self) -> dict[str, dict[str, Any]]:
        """By column that goes with a protected one: the values seen."""
        return {
            rule.column: levels_of(self.data.table.column(rule.column)) for rule in self.params.descendants
        }

    def left_out(self) -> list[str]:
        """Sensitive columns that nothing is said about."""
        asked = self.params.columns or self.data.ref.columns(Role.SENSITIVE)
        return [name for name in asked if name not in self.levels]

    def flips(self, row: int, ctx: Context) -> tuple[Flip, ...]:
        """What row `row` becomes, in order: at most `per_row`, drawn by the seed and its id."""
        found = []
        for column, levels in self.levels.items():
            source = text_of(self.data.table.column(column)[row].as_py())
            if source is None:
                continue
            for target in levels:
                if target != source:
                    found.append(Flip(column, source, target, self._values(row, column, target)))
        if len(found) > self.params.per_row:
            found = in_turn(found, self.params.per_row, ctx.rng(f"{self.data.ids[row]}:which"))
        return tuple(found)

    def frame(self, rows: Sequence[int], flips: Sequence[Flip]) -> pd.DataFrame:
        """The changed rows as the model is fed them; columns that it does not take stay out."""
        import numpy as np
        import pandas as pd

        frame = self.data.frame(np.array(rows, dtype=np.int64), self.reads).reset_index(drop=True)
        for column in {name for flip in flips for name in flip.values} & set(self.reads):
            held = frame[column]
            new = [flip.values.get(column, old) for flip, old in zip(flips, held.tolist(), strict=True)]
            frame[column] = pd.Series(new, index=frame.index, dtype=held.dtype)
        return frame

    def shown(self, row: int, flip: Flip) -> tuple[str, str]:
        """The changed columns before and after, as people read them."""
        old = {name: text_of(self.data.table.column(name)[row].as_py()) for name in flip.values}
        before = ", ".join(f"{name[:80]}: {str(value)[:80]}" for name, value in old.items())
        after = ", ".join(f"{name[:80]}: {str(text_of(v))[:80]}" for name, v in flip.values.items())
        return before, after

    def _values(self, row: int, column: str, target: str) -> dict[str, Any]:
        values = {column: self.levels[column][target]}
        for rule in self.params.descendants:
            if (rule.protected, rule.becomes) == (column, target):
                old = text_of(self.data.table.column(rule.column)[row].as_py())
                if old in rule.values:
                    values[rule.column] = self._follow[rule.column][rule.values[old]]
        return values

    def _is_read(self, column: str) -> bool:
        follow = {rule.column for rule in self.params.descendants if rule.protected == column}
        return bool({column, *follow} & set(self.reads))

    def _known(self, asked: Sequence[str]) -> None:
        held = {*self.data.ref.columns(Role.INPUT), *self.data.ref.columns(Role.SENSITIVE)}
        named = [
            *asked,
            *(name for rule in self.params.descendants for name in (rule.protected, rule.column)),
        ]
        if unknown := [name for name in named if name not in held]:
            raise EvaluationError(
                "protected_unknown",
                f"{names_of(unknown)} is no column with the role 'input' or 'sensitive'. Those are "
                f"{names_of(sorted(held))}.",
            )

    def _check_descendants(self, usable: Mapping[str, Mapping[str, Any]]) -> None:
        for rule in self.params.descendants:
            missing = [value for value in rule.values.values() if value not in self._follow[rule.column]]
            if rule.protected in usable and rule.becomes not in usable[rule.protected]:
                raise EvaluationError(
                    "protected_value_unknown",
                    f"{rule.protected!r} is never {rule.becomes[:60]!r}. It is {names_of(usable[rule.protected])}.",
                )
            if missing:
                raise EvaluationError(
                    "descendant_value_unknown",
                    f"{rule.column!r} is never {names_of(missing)} in the data. Name values that occur.",
                )


def levels_of(column: pa.ChunkedArray) -> dict[str, Any]:
    """The distinct values of a column by their name, ascending by it; missing ones left out."""
    named = {text_of(value): value for value in column.unique().to_pylist()}
    return {name: named[name] for name in sorted(n for n in named if n is not None)}
