"""quality.repeatability: a model that answers from its inputs alone."""

from __future__ import annotations

from tests.evaluations.cases import Case, constant, everywhere, perfect

NOTHING = everywhere(dict.fromkeys(("flip_rate", "lapse_rate", "mean_change", "max_change"), 0.0))

CASE = Case(
    label=None, params={"repeats": 3}, known={"perfect": (perfect, NOTHING), "constant": (constant, NOTHING)}
)
