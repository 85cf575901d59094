"""quality.data: a table with a training split, people on both sides of it, and a repeated row."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evaluations.spec import Role
from tests.evaluations import make
from tests.evaluations.cases import Case, perfect


def with_splits(n: int) -> pd.DataFrame:
    table = make.frame(n)
    table["part"] = np.where(np.arange(n) % 2 == 0, "train", "test")
    table.loc[table.index == 1, ["x", "z"]] = table.loc[table.index == 0, ["x", "z"]].to_numpy()
    return table


CASE = Case(
    table=with_splits,
    roles={**make.TABULAR_ROLES, "part": Role.SPLIT},
    rows=120,
    label=None,
    silent=None,
    known={"perfect": (perfect, {("label_noise", "all"): 0.0, ("missing", "all"): 0.0})},
)
