"""robustness.text_behaviour: a reader of texts that counts words of praise, letters as they are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from evaluations.spec import Modality, ModelFormat, ModelRef
from tests.evaluations import make
from tests.evaluations.cases import Case, everywhere

READER = ModelRef(
    path="/nowhere",
    digest="reader",
    modality=Modality.TEXT_CLASSIFIER,
    format=ModelFormat.SAFETENSORS,
    languages=("en",),
)
PRAISE = {"good", "great", "fine", "lovely", "superb", "wonderful", "excellent"}


class Reading(make.Answering):
    """A stand-in that reads texts."""

    modality: ClassVar[Modality] = Modality.TEXT_CLASSIFIER
    columns = None

    def __init__(self, answer: Any) -> None:
        super().__init__(answer, ("neg", "pos"))


def counting(texts: Sequence[str]) -> np.ndarray:
    """More words of praise, more probably positive. It minds capitals, and a stop at the end of a word."""
    praise = np.array([sum(word in PRAISE for word in text.split()) for text in texts], dtype=float)
    return _both(1 / (1 + np.exp(1 - 2 * praise)))


def _both(p: Any) -> np.ndarray:
    return np.column_stack([1 - p, p])


NOTHING = everywhere(
    dict.fromkeys(("invariance_failure_rate", "directional_failure_rate", "unchanged_flip_rate"), 0.0)
)

CASE = Case(
    table=make.sentences,
    roles=dict(make.TEXT_ROLES),
    data={"favourable_label": "pos"},
    rows=40,
    model=lambda folder: (Reading(counting), READER),
    label=None,
    silent=lambda: Reading(lambda texts: np.full((len(texts), 2), np.nan)),
    known={
        "constant": (lambda table: Reading(lambda texts: np.tile([0.25, 0.75], (len(texts), 1))), NOTHING),
        "turned by anything": (  # every text of the table is written as a sentence with a full stop
            lambda table: Reading(
                lambda texts: _both(np.array([float(text in set(table.text)) for text in texts]))
            ),
            {
                ("invariance_failure_rate", "all"): 1.0,
                ("failure_rate", "test=added_praise"): 1.0,
                ("failure_rate", "test=added_blame"): 0.0,
                ("unchanged_flip_rate", "all"): 0.0,
            },
        ),
    },
)
