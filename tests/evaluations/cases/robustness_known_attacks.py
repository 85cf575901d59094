"""robustness.known_attacks."""

from __future__ import annotations

import hashlib

import pandas as pd

from evaluations.spec import Role
from tests.evaluations import make
from tests.evaluations.cases import Case, inverted, perfect

RECIPES = ("hill_climb", "square")


def kept(n: int) -> pd.DataFrame:
    """Rows named as a suite names them, two of each original."""
    table = make.frame(n)
    ids = [f"{RECIPES[i % 2]}:{hashlib.sha256(str(i).encode()).hexdigest()[:24]}" for i in range(n)]
    return table.assign(id=ids, original_id=[f"e{i // 2}" for i in range(n)])


def all_of(value: float) -> dict[tuple[str, str], float]:
    return {
        ("withstood", "all"): value,
        **{("withstood_by_recipe", f"recipe={recipe}"): value for recipe in RECIPES},
    }


CASE = Case(
    table=kept,
    roles={**make.TABULAR_ROLES, "original_id": Role.CLUSTER},
    known={"perfect": (perfect, all_of(1.0)), "inverted": (inverted, all_of(0.0))},
)
