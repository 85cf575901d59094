"""quality.version_change: the parent answers from column z, this version from x."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evaluations.spec import ModelRef
from tests.evaluations import make
from tests.evaluations.cases import Case


def weaker(folder: Path) -> tuple[Any, ModelRef]:
    def answer(rows: Any) -> Any:
        return make.logistic(rows.assign(x=rows.z))

    return make.Answering(answer), make.STAND_IN.model_copy(update={"digest": "parent"})


def unchanged(table: Any) -> Any:
    return weaker(Path())[0]


def opposite(table: Any) -> Any:
    """Always another answer than the parent's, as sure of it."""
    return make.Answering(lambda rows: make.logistic(rows.assign(x=rows.z))[:, ::-1])


NOTHING = (
    "accuracy_change",
    "newly_wrong",
    "newly_right",
    "answers_changed",
    "log_loss_change",
    "brier_change",
)

CASE = Case(
    parent=weaker,
    known={
        "unchanged": (unchanged, {**{(name, "all"): 0.0 for name in NOTHING}, ("mcnemar_p", "all"): 1.0}),
        "opposite": (opposite, {("answers_changed", "all"): 1.0}),
    },
)
