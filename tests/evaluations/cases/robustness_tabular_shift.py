"""robustness.tabular_shift."""

from __future__ import annotations

from tests.evaluations.cases import Case, constant

CASE = Case(
    rows=40,
    reports=frozenset({"clean_accuracy", "shifted_accuracy", "drop", "worst_drop"}),  # of a classifier
    known={"constant": (constant, {("worst_drop", "all"): 0.0, ("drop", "shift=noise 0.3 sd"): 0.0})},
)
