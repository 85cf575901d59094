"""quality.classification."""

from __future__ import annotations

from tests.evaluations.cases import Case, constant, everywhere, inverted, perfect

BEST = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "average_precision")

CASE = Case(
    known={
        "perfect": (perfect, everywhere(dict.fromkeys(BEST, 1.0))),
        "inverted": (
            inverted,
            everywhere({"accuracy": 0, "balanced_accuracy": 0, "macro_f1": 0, "mcc": -1, "auroc": 0}),
        ),
        "constant": (
            constant,
            everywhere(
                {"accuracy": 0.5, "balanced_accuracy": 0.5, "macro_f1": 1 / 3, "mcc": 0, "auroc": 0.5}
            ),
        ),
    }
)
