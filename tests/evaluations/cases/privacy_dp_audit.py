"""privacy.dp_audit: every row of the table is a canary whose coin is drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evaluations.spec import Role
from tests.evaluations import make
from tests.evaluations.cases import Case, everywhere


def canaries(n: int) -> pd.DataFrame:
    return make.frame(n).assign(included=np.random.default_rng(5).integers(0, 2, n))


def remembering(table: pd.DataFrame, *, right: bool = True) -> Any:
    """A model that is certain of the canaries that it was trained on, or of the others."""
    known = dict(zip(table.x, (table.label == "yes") == (table.included == right), strict=True))

    def answer(rows: pd.DataFrame) -> np.ndarray:
        p = np.array([float(known[x]) for x in rows.x])
        return np.column_stack([1 - p, p])

    return make.Answering(answer)


CASE = Case(
    table=canaries,
    roles={**make.TABULAR_ROLES, "included": Role.RANDOMISED_INCLUSION},
    params={"claimed_epsilon": 1.0, "delta": 0.0, "guessed": 0.4},
    known={
        # all right: q^24 = β, so e^ε = q/(1 − q) with q = .05^(1/24)
        "remembering": (
            remembering,
            everywhere(
                {
                    "guess_accuracy": 1.0,
                    "refuted": 1.0,
                    "epsilon_lower_bound": float(np.log(0.05 ** (1 / 24) / (1 - 0.05 ** (1 / 24)))),
                    "claim_p": (np.e / (1 + np.e)) ** 24,
                }
            ),
        ),
        "forgetting": (
            lambda table: remembering(table, right=False),
            everywhere({"guess_accuracy": 0.0, "refuted": 0.0, "epsilon_lower_bound": 0.0, "claim_p": 1.0}),
        ),
    },
)
