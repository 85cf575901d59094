"""Rows that a shift turned into wrong answers, to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.robustness.changed_words import changed_words
from evaluations.robustness.tabular_shift_changes import Shifter
from evaluations.robustness.tabular_shift_names import Shift
from evaluations.spec import Example

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.tabular_shift_scores import Answers

EACH = 2  # examples of a shift


def examples(answers: Answers, data: Dataset, ctx: Context) -> list[Example]:
    """The first rows by id that were right as they are and wrong with each shift."""
    shifter, found = Shifter(data, ctx), []
    for s, shift in enumerate(answers.shifts, start=1):
        broken = answers.right[:, 0] & answers.answered[:, s] & ~answers.right[:, s]
        found += [_example(answers, shifter, int(i), s, shift) for i in np.flatnonzero(broken)[:EACH]]
    return found


def _example(answers: Answers, shifter: Shifter, i: int, s: int, shift: Shift) -> Example:
    rows = answers.rows[i : i + 1]
    old, new = [], []
    for name, change in shifter.changes(rows, shift).items():
        if change.here[0]:
            old.append(f"{name[:80]}: {_shown(shifter.data.table.column(name)[int(rows[0])].as_py())}")
            new.append(f"{name[:80]}: {_shown(change.values[0])}")
    before, after = ", ".join(old[:30]), ", ".join(new[:30])
    return Example(
        id=str(shifter.data.ids[rows[0]]),
        kind="shift",
        before=before,
        after=after,
        changed=tuple(changed_words(before, after)),
        facts={
            "shift": shift.name,
            "true_label": answers.labels[int(answers.truth[i])],
            "answer_before": answers.labels[int(answers.said[i, 0])],
            "answer_after": answers.labels[int(answers.said[i, s])],
        },
    )


def _shown(value: Any) -> str:
    if value is None:
        return "(missing)"
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:80]
