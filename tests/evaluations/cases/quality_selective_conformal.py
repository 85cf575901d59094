"""quality.selective_conformal."""

from __future__ import annotations

from tests.evaluations.cases import Case, constant, everywhere, inverted, perfect

CASE = Case(
    known={
        "perfect": (perfect, everywhere({"aurc": 0, "e_aurc": 0, "coverage": 1, "set_size": 1})),
        "inverted": (inverted, everywhere({"aurc": 1, "e_aurc": 0, "coverage": 1, "set_size": 2})),
        "constant": (constant, everywhere({"aurc": 0.5, "coverage": 1, "set_size": 2})),
    }
)
