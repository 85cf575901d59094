"""Rows whose answer was turned: some to be shown, all of them to be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations.robustness import attacks_file, tabular_columns
from evaluations.robustness.changed_words import changed_words
from evaluations.robustness.tabular_columns import inputs
from evaluations.spec import Example, Role

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.tabular_evasion_scores import Outcomes

SHOWN = 20
RECIPE = "feasible_evasion"
NEEDED = ("id", "original_id", "recipe", "kind")  # columns of the file itself


def examples(outcomes: Outcomes) -> list[Example]:
    """The cheapest successes, with the columns that changed."""
    won = np.flatnonzero(outcomes.succeeded)
    found = []
    for i in won[np.argsort(outcomes.cost[won], kind="stable")][:SHOWN]:
        old, new = [], []
        for d, column in enumerate(outcomes.space.columns):
            before, after = float(outcomes.before[i, d]), float(outcomes.after[i, d])
            if before != after and not np.isnan(after):
                old.append((column.name[:80], column.shown(before)[:80]))
                new.append((column.name[:80], column.shown(after)[:80]))
        before_text, after_text = (
            ", ".join(f"{name}: {cell}" for name, cell in cells) for cells in (old, new)
        )
        was, now = outcomes.probs[i], outcomes.attacked_probs[i]
        found.append(
            Example(
                id=outcomes.ids[i],
                kind="evasion",
                before=before_text,
                after=after_text,
                changed=tuple(changed_words(before_text, after_text)),
                facts={
                    "change": "; ".join(
                        f"{name}: {a} → {b}" for (name, a), (_, b) in zip(old, new, strict=True)
                    ),
                    "cost": round(float(outcomes.cost[i]), 4),
                    "true_label": outcomes.labels[int(outcomes.truth[i])],
                    "answer_before": outcomes.labels[int(was.argmax())],
                    "probability_before": round(float(was.max()), 4),
                    "answer_after": outcomes.labels[int(now.argmax())],
                    "probability_after": round(float(now.max()), 4),
                    "queries": int(outcomes.queries[i]),
                },
            )
        )
    return found


def keep(outcomes: Outcomes, data: Dataset, ctx: Context) -> list[str]:
    """Writes the successes as rows that a later version must withstand. Returns warnings."""
    won = np.flatnonzero(outcomes.succeeded)
    target = data.ref.columns(Role.TARGET)
    names = [*inputs(data), *target]
    if clash := [name for name in names if name in NEEDED]:
        return [
            f"The attacks cannot be kept: the data have a column {clash[0]!r}, which the file needs for itself. "
            "Rename it."
        ]
    rows = outcomes.rows[won]
    columns: dict[str, pa.Array] = {
        name: data.table.column(name).take(rows).combine_chunks() for name in names
    }
    for d, column in enumerate(outcomes.space.columns):
        values = tabular_columns.stored(column, outcomes.after[won, d])
        columns[column.name] = pa.array(values, columns[column.name].type)
    return attacks_file.keep_rows(
        ctx,
        columns,
        original_ids=[outcomes.ids[i] for i in won],
        recipes=[RECIPE] * len(won),
        kind="own",
    )
