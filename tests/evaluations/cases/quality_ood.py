"""quality.ood: rows from elsewhere lie where the model is unsure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evaluations.spec import Role
from tests.evaluations import make
from tests.evaluations.cases import Case, constant, everywhere


def with_foreign(n: int) -> pd.DataFrame:
    table = make.frame(n)
    foreign = np.arange(n) % 3 == 0
    table["part"] = np.where(foreign, "ood", "test")
    return table.assign(x=table.x.where(~foreign, table.x / 4))


def knowing(table: pd.DataFrame) -> Any:
    """A model that is sure of its own examples and unsure of foreign ones."""
    foreign = dict(zip(table.x, table.part == "ood", strict=True))
    return make.Answering(lambda rows: np.array([[0.5, 0.5] if foreign[x] else [0.1, 0.9] for x in rows.x]))


CASE = Case(
    table=with_foreign,
    roles={**make.TABULAR_ROLES, "part": Role.SPLIT},
    label=None,
    known={
        "knowing": (
            knowing,
            everywhere({"auroc": 1, "fpr95": 0, "aupr": 1, "auroc_entropy": 1, "fpr95_entropy": 0}),
        ),
        "constant": (constant, everywhere({"auroc": 0.5, "fpr95": 1})),
    },
)
