"""quality.slices: a model that is always wrong about one group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evaluations.spec import ModelRef
from tests.evaluations import make
from tests.evaluations.cases import Case, everywhere, perfect


def wrong_where_z_is_high(folder: Path) -> tuple[Any, ModelRef]:
    def answer(rows: Any) -> Any:
        p = make.logistic(rows)
        return np.where((rows.z > 0.7).to_numpy()[:, None], p[:, ::-1], p)

    return make.Answering(answer), make.STAND_IN


CASE = Case(
    rows=240,
    params={"min_rows": 5},
    model=wrong_where_z_is_high,
    known={
        "perfect": (
            perfect,
            everywhere({"error_rate": 0, "slices_tested": 0, "slices_confirmed": 0}),
        )
    },
)
