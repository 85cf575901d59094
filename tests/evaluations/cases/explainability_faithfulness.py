"""explainability.faithfulness: columns of a tabular stand-in; a constant model loses nothing."""

from __future__ import annotations

from tests.evaluations.cases import Case, constant, everywhere

CASE = Case(
    rows=14,
    params={"bounded": 4, "draws": 2},
    label=None,
    known={
        "constant": (
            constant,
            everywhere(
                {
                    "comprehensiveness": 0,
                    "sufficiency": 0,
                    "excess_comprehensiveness": 0,
                    "excess_sufficiency": 0,
                }
            ),
        )
    },
)
