"""fairness.identity_terms: texts that name a group in a column, or hold a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from evaluations.spec import Modality, ModelRef, Role
from tests.evaluations import make
from tests.evaluations.cases import Case, everywhere
from tests.evaluations.kinds import stand_in_ref

ROLES = {"id": Role.ID, "text": Role.INPUT, "label": Role.TARGET, "group": Role.SENSITIVE}


class Reading(make.Answering):
    """A text classifier that gives each text the probability of `toxic` that `score` says."""

    modality: ClassVar[Modality] = Modality.TEXT_CLASSIFIER
    columns = None

    def __init__(self, score: Any) -> None:
        super().__init__(
            lambda texts: np.array([[1 - p, p] for p in map(score, texts)]).reshape(-1, 2), ("fine", "toxic")
        )


def comments(n: int, seed: int = 0) -> pd.DataFrame:
    """n texts, of which some name women, some men; a third of all is toxic."""
    rng = np.random.default_rng(seed)
    table = make.sentences(n, seed)
    return table.assign(
        group=rng.choice(np.array(["women", "men", None], dtype=object), n, p=[0.35, 0.35, 0.3]),
        label=np.where(rng.random(n) < 0.4, "toxic", "fine"),
    )


def knowing(table: pd.DataFrame, *, right: bool = True) -> Any:
    toxic = dict(zip(table.text, (table.label == "toxic") == right, strict=True))
    return Reading(lambda text: float(toxic[text]))


def by_length(folder: Path) -> tuple[Any, ModelRef]:
    return Reading(lambda text: min(1.0, len(text) / 100)), stand_in_ref(Modality.TEXT_CLASSIFIER)


def all_areas(value: float) -> dict[tuple[str, str], float]:
    whole = everywhere({"worst_auc": value, "overall_auc": value, "bias_score": value})
    areas = {"subgroup_auc": value, "bpsn_auc": value, "bnsp_auc": value, "positive_gap": 0.0}
    return whole | everywhere(areas, "group=women") | everywhere(areas, "term=film")


CASE = Case(
    table=comments,
    roles=ROLES,
    data={"favourable_label": "fine"},
    params={"terms": ["film|movie"], "suppress_below": 2},
    rows=120,
    model=by_length,
    silent=lambda: Reading(lambda text: float("nan")),
    known={
        "perfect": (knowing, all_areas(1.0)),
        "inverted": (lambda table: knowing(table, right=False), all_areas(0.0)),
        "constant": (lambda table: Reading(lambda text: 0.3), all_areas(0.5)),
    },
)
