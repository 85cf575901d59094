"""privacy.membership: half of the rows are members; the gate is off, for 60 rows can never show two sides alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluations.spec import ModelRef, Role
from tests.evaluations import make
from tests.evaluations.cases import Case


def half_members(n: int) -> pd.DataFrame:
    return make.frame(n).assign(member=np.arange(n) % 2)


def remembering(table: pd.DataFrame) -> Any:
    """A model that is certain and right about its members alone."""
    truth = dict(zip(table.x, (table.label == "yes").astype(int), strict=True))
    member = dict(zip(table.x, table.member, strict=True))

    def answer(rows: pd.DataFrame) -> np.ndarray:
        return np.array([np.eye(2)[truth[x]] if member[x] else [0.5, 0.5] for x in rows.x])

    return make.Answering(answer)


def plain_reference(folder: Path) -> tuple[Any, ModelRef]:
    return make.Answering(make.always(0.4, 0.6)), make.STAND_IN.model_copy(update={"digest": "reference"})


CASE = Case(
    table=half_members,
    roles={**make.TABULAR_ROLES, "member": Role.MEMBER},
    params={"blind_limit": 1.0},
    reference=plain_reference,
    known={
        "remembering": (
            remembering,
            {
                ("auc", "all"): 1,
                ("attack_auc", "attack=loss"): 1,
                ("attack_auc", "attack=class_loss"): 1,
                ("attack_auc", "attack=reference_ratio"): 1,
            },
        ),
        "unsure": (
            lambda table: make.Answering(make.always(0.5, 0.5)),
            {("attack_auc", "attack=loss"): 0.5, ("attack_auc", "attack=class_loss"): 0.5},
        ),
    },
)
