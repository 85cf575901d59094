"""fairness.calibration."""

from __future__ import annotations

from tests.evaluations.cases import Case, everywhere, inverted, perfect

CASE = Case(
    known={
        "perfect": (perfect, everywhere({"worst_ece_debiased": 0, "ppv_gap": 0}, "sex")),
        "inverted": (inverted, everywhere({"worst_ece_debiased": 1, "ppv_gap": 0}, "sex")),
    }
)
