"""The column that says which rows the model was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluations.data import coded_columns
from evaluations.spec import Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset


def membership(data: Dataset) -> NDArray[np.float64]:
    """(rows,) 1 for a row that the model was trained on, 0 for one it was not, NaN where nobody says."""
    said = coded_columns.read(data, Role.MEMBER)
    return np.full(data.rows, np.nan) if said is None else said
