"""quality.calibration."""

from __future__ import annotations

from tests.evaluations.cases import Case, constant, everywhere, inverted, perfect

NONE = ("ece", "ece_debiased", "ece_adaptive", "ece_classwise", "brier", "ece_null_mean")

CASE = Case(
    known={
        "perfect": (perfect, everywhere(dict.fromkeys(NONE, 0.0))),
        "inverted": (inverted, everywhere({"ece": 1, "ece_adaptive": 1, "ece_classwise": 1, "brier": 2})),
        "constant": (constant, everywhere({"ece": 0.25, "brier": 0.625})),
    }
)
