"""robustness.prompt_sensitivity: choices by likelihood, with a stand-in that knows answers under some templates."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from evaluations.robustness.prompt_sensitivity_templates import BUILT_IN, filled
from tests.evaluations import tasks
from tests.evaluations.cases import Case, everywhere

TEMPLATES = BUILT_IN["choices", True]
STEADY = {
    "spread": 0.0,
    "spread_excess": 0.0,
    "spread_p": 1.0,
    "disagreement": 0.0,
    "repeat_disagreement": 0.0,
    "repeatability_floor": 0.0,
}


def knowing_under(table: pd.DataFrame, numbers: Collection[int]) -> Any:
    """A model that gives the right choice under the templates of these numbers, and a wrong one under others."""
    right: dict[str, tuple[str, bool]] = {
        filled(template, text, None, ()): (answer, number in numbers)
        for number, template in enumerate(TEMPLATES, start=1)
        for text, answer in zip(table.text, table.answer, strict=True)
    }

    def score(prompt: str, continuation: str) -> float:
        answer, knows = right[prompt]
        return -1.0 if (continuation.strip() == answer) is knows else -5.0

    return tasks.Speaking(score)


CASE = Case(
    table=tasks.questions,
    roles=tasks.ROLES,
    data={},
    rows=24,
    model=lambda folder: (tasks.Speaking(tasks.fickle), tasks.SPEAKER),
    reports=frozenset(
        {*STEADY, "worst_accuracy", "accuracy"}
    ),  # nothing is read out of texts: no unparsed_rate
    label=None,
    silent=lambda: tasks.Speaking(lambda context, text: None),
    known={
        "knows it however it is asked": (
            lambda table: knowing_under(table, range(1, 7)),
            everywhere({**STEADY, "worst_accuracy": 1.0}),
        ),
        "knows it under template 3 alone": (
            lambda table: knowing_under(table, {3}),
            everywhere(
                {"spread": 1.0, "worst_accuracy": 0.0, "disagreement": 1.0, "repeatability_floor": 0.0}
            )
            | {("accuracy", f"template={k}"): float(k == 3) for k in range(1, 7)},
        ),
        "never knows it": (
            lambda table: knowing_under(table, ()),
            everywhere({**STEADY, "worst_accuracy": 0.0}),
        ),
    },
)
