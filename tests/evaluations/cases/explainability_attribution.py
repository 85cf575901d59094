"""explainability.attribution: columns of a tabular stand-in, by random permutations."""

from __future__ import annotations

from tests.evaluations.cases import Case, constant

CASE = Case(
    rows=14,
    params={"max_evals": 10, "seeds": 2, "background": 5},
    label=None,
    known={
        "constant": (constant, {("completeness_gap", "all"): 0, ("largest_gap", "all"): 0}),
    },
)
