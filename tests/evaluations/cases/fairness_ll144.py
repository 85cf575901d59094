"""fairness.ll144."""

from __future__ import annotations

import pandas as pd

from evaluations.spec import Role
from tests.evaluations import make
from tests.evaluations.cases import Case, constant, everywhere


def applicants(n: int) -> pd.DataFrame:
    table = make.frame(n)
    return table.assign(race=["A" if i % 3 else "B" for i in range(n)])


CASE = Case(
    table=applicants,
    roles={**make.TABULAR_ROLES, "race": Role.SENSITIVE},
    label=None,  # the truth plays no part in it
    known={
        "constant": (
            constant,
            everywhere({"unknown_category": 0}, "sex")
            | {("impact_ratio", "sex=Female"): 1.0, ("selection_rate", "race=A"): 1.0},
        )
    },
)
