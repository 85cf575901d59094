"""quality.regression_task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluations.spec import Modality, ModelRef
from tests.evaluations import kinds
from tests.evaluations.cases import Case


def bounded(folder: Path) -> tuple[Any, ModelRef]:
    """Answers 3x, and says that it is right within 2."""

    def answer(rows: pd.DataFrame) -> np.ndarray:
        value = 3 * rows.x.to_numpy()
        return np.column_stack([value, value - 2, value + 2])

    return kinds.Numbers(answer), kinds.stand_in_ref(Modality.TABULAR_REGRESSION)


def knowing(shift: float) -> Any:
    """A model that knows the truth, and adds `shift`."""

    def model(table: pd.DataFrame) -> Any:
        truth = dict(zip(table.x, table.y, strict=True))
        return kinds.Numbers(lambda rows: np.array([truth[x] + shift for x in rows.x]))

    return model


CASE = Case(
    table=kinds.quantities,
    roles=dict(kinds.REGRESSION_ROLES),
    data={},
    model=bounded,
    label=None,
    silent=lambda: kinds.Numbers(lambda rows: np.full(len(rows), np.nan)),
    known={
        "perfect": (
            knowing(0),
            {("mae", "all"): 0, ("rmse", "all"): 0, ("r2", "all"): 1, ("pinball", "all"): 0},
        ),
        "two too high": (
            knowing(2),
            {
                ("mae", "all"): 2,
                ("rmse", "all"): 2,
                ("pinball", "all"): 1,
                ("signed_error", "all"): 2,
                ("group_signed_error", "sex=Female"): 2,
                ("group_signed_error", "sex=Male"): 2,
            },
        ),
    },
)
