"""quality.ranking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluations.spec import Modality, ModelRef
from tests.evaluations import kinds
from tests.evaluations.cases import Case


def by_number(folder: Path) -> tuple[Any, ModelRef]:
    """The same order of items for everybody."""
    model = kinds.Liking(lambda user, item: -int(item[1:]), kinds.CATALOGUE)
    return model, kinds.stand_in_ref(Modality.RECOMMENDER)


def knowing(sign: int) -> Any:
    """A model that knows what is wanted, and shows it first, or last."""

    def model(table: pd.DataFrame) -> Any:
        wanted = {(row.user, row.item): row.relevance for row in table.itertuples()}
        return kinds.Liking(lambda user, item: sign * wanted.get((user, item), 0), kinds.CATALOGUE)

    return model


CASE = Case(
    table=kinds.wishes,
    roles=dict(kinds.RANKING_ROLES),
    data={},
    params={"k": 5},
    rows=150,  # enough of each kind of item to be shown
    model=by_number,
    label=None,
    silent=lambda: kinds.Liking(lambda user, item: np.nan, kinds.CATALOGUE),
    known={
        "perfect": (knowing(1), {("ndcg", "all"): 1, ("mrr", "all"): 1}),
        "inverted": (knowing(-1), {("ndcg", "all"): 0, ("mrr", "all"): 0, ("recall", "all"): 0}),
    },
)
