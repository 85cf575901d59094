"""Columns whose values have a fixed meaning, read in one way when data are registered and when they are audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluations.spec import EvaluationError, Role

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

MOST_REPETITIONS = 10**9
# How tables say that a cell is empty; a column of numbers and such a word may be read as text.
NOTHING = frozenset(
    (
        "",
        "#n/a",
        "#n/a n/a",
        "#na",
        "-1.#ind",
        "-1.#qnan",
        "-nan",
        "1.#ind",
        "1.#qnan",
        "n/a",
        "na",
        "nan",
        "null",
    )
)


def code(role: Role, value: str) -> int | None:
    """The number that a cell with this role says: 1 for 1, 1.0 and true. None for one that has no meaning."""
    said = {"true": "1", "false": "0"}.get(value.lower(), value)
    try:
        number = float(said)
    except ValueError:
        return None
    most = MOST_REPETITIONS if role is Role.REPETITIONS else 1
    if not 0 <= number <= most or number != int(number) or (role is Role.REPETITIONS and said != value):
        return None
    return int(number)


def read(data: Dataset, role: Role) -> NDArray[np.float64] | None:
    """(rows,) what the column with this role says, NaN where it says nothing. None where no column has the role."""
    import numpy as np

    from evaluations.data import columns

    held = data.ref.columns(role)
    if not held:
        return None
    if len(held) > 1:
        raise EvaluationError(
            f"{role}_many", f"At most one column may have the role {role.value!r}. Correct the roles."
        )
    names, codes = columns.distinct(data.table.column(held[0]))
    said = [None if name is None or name.lower() in NOTHING else name for name in names]
    meant = [None if name is None else code(role, name) for name in said]
    wrong = [name for name, number in zip(said, meant, strict=True) if name is not None and number is None]
    if wrong:
        takes = "whole numbers from 0 on, or nothing" if role is Role.REPETITIONS else "1, 0 or nothing"
        raise EvaluationError(
            f"{role}_values",
            f"Column {held[0]!r} must hold {takes}, and holds {columns.names_of(wrong)}. Correct it.",
        )
    return np.array([np.nan if number is None else number for number in meant], dtype=np.float64)[codes]
