"""The column that says which rows the model was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluations.data import columns
from evaluations.spec import EvaluationError, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

SAID = {"1": 1.0, "true": 1.0, "0": 0.0, "false": 0.0}


def membership(data: Dataset) -> NDArray[np.float64]:
    """(rows,) 1 for a row that the model was trained on, 0 for one it was not, NaN where nobody says."""
    held = data.ref.columns(Role.MEMBER)
    if not held:
        return np.full(data.rows, np.nan)
    if len(held) > 1:
        raise EvaluationError(
            "member_many", "At most one column may have the role 'member'. Correct the roles."
        )
    names, codes = columns.distinct(data.table.column(held[0]))
    unknown = [name for name in names if name is not None and name.lower() not in SAID]
    if unknown:
        raise EvaluationError(
            "member_values",
            f"Column {held[0]!r} must hold 1, 0 or nothing, and holds {columns.names_of(unknown)}. Correct it.",
        )
    return np.array([np.nan if name is None else SAID[name.lower()] for name in names])[codes]
