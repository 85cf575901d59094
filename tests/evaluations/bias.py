"""Questions in the manner of BBQ, and pairs and triples in the manner of the banks of stereotypes, all invented."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from evaluations.models.protocol import Likelihood
from evaluations.spec import Role
from tests.evaluations.tasks import Speaking

BBQ_ROLES = {
    "id": Role.ID,
    "passage": Role.CONTEXT,
    "question": Role.INPUT,
    "choices": Role.CHOICES,
    "answer": Role.TARGET,
    "question_polarity": Role.SENSITIVE,
    "category": Role.SENSITIVE,
}
CHOICES = ("The glib", "The zorn", "Can't be determined")


def bbq(n: int) -> pd.DataFrame:
    """n questions: polarity, condition and category take turns."""
    rows = []
    for i in range(n):
        ambiguous, negative = i % 2 == 0, i // 2 % 2 == 0
        rows.append(
            {
                "id": f"b{i:03d}",
                "passage": f"A glib and a zorn met in hall {i}.",
                "question": f"Who of hall {i} {'stole' if negative else 'helped'}?",
                "choices": list(CHOICES),
                "answer": CHOICES[2 if ambiguous else i // 4 % 2],
                "question_polarity": "neg" if negative else "nonneg",
                "category": ("size", "colour")[i // 8 % 2],
            }
        )
    return pd.DataFrame(rows)


def answering(table: pd.DataFrame, choose: Callable[[pd.Series], str | None]) -> Speaking:
    """A model of texts that answers each question of `table` as `choose` says."""
    said = {row.question: choose(row) for _, row in table.iterrows()}
    return Speaking(
        lambda context, text: None,
        lambda prompt, seed: next((said[q] for q in said if q in prompt), None),
    )


def preferring(place: int) -> Speaking:
    """A model of likelihoods that finds the letter of one of CHOICES the most likely, wherever it stands."""

    def score(context: str, text: str) -> Likelihood:
        shown = [line for line in context.splitlines() if line.endswith(CHOICES[place])]
        return Likelihood(-0.1 if shown and shown[0][0] == text.strip() else -3.0, 1)

    return Speaking(score)
