"""explainability.global: columns of a tabular stand-in that reads x alone."""

from __future__ import annotations

from tests.evaluations.cases import Case, constant

CASE = Case(
    rows=16,
    params={"explained": 8, "repeats": 2},
    reports=frozenset({"mean_attribution", "permutation_importance"}),
    known={
        "constant": (
            constant,
            {
                ("mean_attribution", "column=x"): 0,
                ("mean_attribution", "column=z"): 0,
                ("permutation_importance", "column=x"): 0,
                ("permutation_importance", "column=z"): 0,
            },
        )
    },
)
