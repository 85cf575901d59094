"""fairness.group."""

from __future__ import annotations

from tests.evaluations.cases import Case, constant, everywhere, inverted, perfect

NO_GAPS = {"tpr_gap": 0.0, "fpr_gap": 0.0, "equalized_odds_difference": 0.0}

CASE = Case(
    known={
        "perfect": (perfect, everywhere(NO_GAPS, "sex")),
        "inverted": (inverted, everywhere(NO_GAPS, "sex")),
        "constant": (
            constant,
            everywhere({**NO_GAPS, "selection_rate_ratio": 1, "selection_rate_gap": 0}, "sex"),
        ),
    }
)
