"""robustness.image_blackbox: a tiny network, few queries."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from evaluations.models.protocol import Scores, Usage
from evaluations.spec import Access, Modality
from tests.evaluations import kinds
from tests.evaluations.cases import Case, everywhere
from tests.evaluations.cases.robustness_image_autoattack import tiny_vit
from tests.evaluations.vision import levels_of


class Bright:
    """Answers from the brightness of an image file; None answers nothing."""

    modality: ClassVar[Modality] = Modality.IMAGE_CLASSIFIER
    adapter: ClassVar[str] = "stand_in/1"
    access: ClassVar[Access] = Access.LABEL | Access.PROBS
    columns: tuple[str, ...] | None = None
    labels = ("no", "yes")
    device = "cpu"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.usage = Usage()

    def predict_proba(self, rows: Sequence[bytes]) -> Scores:
        self.usage.queries += len(rows)
        given = [self.answer(levels_of(row)) for row in rows]
        return Scores.checked(np.array([[1 - p, p] for p in given]).reshape(-1, 2))


def always(p: float) -> Any:
    def model(table: pd.DataFrame) -> Any:
        return Bright(lambda levels: p)

    return model


CASE = Case(
    table=functools.partial(kinds.pictures, seed=1),
    roles=dict(kinds.IMAGE_ROLES),
    data={},
    params={"queries": 20, "epsilon": 0.3},
    rows=14,
    model=tiny_vit,
    silent=lambda: Bright(lambda levels: np.nan),
    known={  # a constant answer cannot be changed, and every attack uses its whole budget
        "yes": (always(0.9), everywhere({"attack_success_rate": 0, "queries": 20})),
        "no": (always(0.1), everywhere({"attack_success_rate": 0, "queries": 20})),
    },
)
