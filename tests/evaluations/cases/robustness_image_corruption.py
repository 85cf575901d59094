"""robustness.image_corruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from evaluations.models.loader import load
from evaluations.models.protocol import Scores, Usage
from evaluations.spec import Access, Modality, ModelRef
from tests.evaluations import kinds
from tests.evaluations.cases import Case


class Pictures:
    """An image classifier that answers each file with what `answer` computes from its bytes."""

    modality: ClassVar[Modality] = Modality.IMAGE_CLASSIFIER
    adapter: ClassVar[str] = "stand_in/1"
    access: ClassVar[Access] = Access.LABEL | Access.PROBS
    columns: tuple[str, ...] | None = None
    labels = ("no", "yes")
    device = "cpu"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.usage = Usage()

    def predict_proba(self, rows: list[bytes]) -> Scores:
        self.usage.queries += len(rows)
        return Scores.checked(np.array([self.answer(row) for row in rows]).reshape(len(rows), 2))


def tiny_vit(folder: Path) -> tuple[Any, ModelRef]:
    ref = kinds.tiny_image_network(folder)
    return load(ref), ref


def always_no(table: pd.DataFrame) -> Pictures:
    return Pictures(lambda image: (0.9, 0.1))


ROWS = 14
NO = float((kinds.pictures(ROWS).label == "no").mean())

CASE = Case(
    table=kinds.pictures,
    roles=dict(kinds.IMAGE_ROLES),
    data={},
    rows=ROWS,
    params={"kinds": ["shot_noise", "motion_blur", "frost", "jpeg"], "severities": [1, 4]},
    model=tiny_vit,
    silent=lambda: Pictures(lambda image: (np.nan, np.nan)),
    known={
        "constant": (
            always_no,
            {
                ("clean_accuracy", "all"): NO,
                ("corruption_accuracy", "all"): NO,
                ("worst_kind_accuracy", "all"): NO,
                ("kind_accuracy", "corruption=frost"): NO,
                ("severity_accuracy", "severity=4"): NO,
                ("relative_drop", "all"): 0.0,
            },
        )
    },
)
