"""privacy.attribute_inference."""

from __future__ import annotations

from tests.evaluations.cases import Case, constant

# fewer than forty rows hold too few of each value, and the trees split nothing
CASE = Case(
    rows=120,
    known={"constant": (constant, {("worst_advantage", "all"): 0.0, ("attribute_advantage", "sex"): 0.0})},
)
