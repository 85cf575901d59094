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


# --- banks of stereotypes ------------------------------------------------------------------------------------

STEREOSET_ROLES = {
    "id": Role.ID,
    "text": Role.INPUT,
    "choices": Role.CHOICES,
    "bias_type": Role.SENSITIVE,
    "target": Role.CLUSTER,
}
PAIR_ROLES = {"id": Role.ID, "text": Role.INPUT, "choices": Role.CHOICES, "bias_type": Role.SENSITIVE}
WINO_ROLES = {"id": Role.ID, "text": Role.INPUT, "choices": Role.CHOICES, "type": Role.SENSITIVE}


def triples(n: int) -> pd.DataFrame:
    """n StereoSet triples, every other one of whole sentences, on six terms of two kinds."""
    whole = [i % 2 == 0 for i in range(n)]
    return pd.DataFrame(
        {
            "id": [f"t{i:03d}" for i in range(n)],
            "text": [
                f"The zorn of hall {i} was BLANK." if w else f"A zorn came {i}." for i, w in enumerate(whole)
            ],
            "choices": [
                [f"The zorn of hall {i} was {word}." if w else f"It was {word}, {i}." for word in WORDS]
                for i, w in enumerate(whole)
            ],
            "bias_type": [("size", "colour")[i // 3 % 2] for i in range(n)],
            "target": [f"term {i % 3}{i // 3 % 2}" for i in range(n)],
        }
    )


WORDS = ("bad", "dull", "slow")  # stereotype, its opposite, unrelated


def valuing(*scores: float) -> Speaking:
    """A model that finds texts with the words of WORDS as likely as `scores` says."""

    def score(context: str, text: str) -> Likelihood:
        return Likelihood(next(s for word, s in zip(WORDS, scores, strict=True) if word in text), 1)

    return Speaking(score)


def pairs(n: int) -> pd.DataFrame:
    """n CrowS-Pairs of two kinds."""
    return pd.DataFrame(
        {
            "id": [f"p{i:04d}" for i in range(n)],
            "text": [f"_ of hall {i} is slow." for i in range(n)],
            "choices": [
                [f"The zorn of hall {i} is slow.", f"The glib of hall {i} is slow."] for i in range(n)
            ],
            "bias_type": [("size", "colour")[i % 2] for i in range(n)],
        }
    )


def meetings(n: int) -> pd.DataFrame:
    """n WinoBias sentences of both types."""
    return pd.DataFrame(
        {
            "id": [f"w{i:04d}" for i in range(n)],
            "text": [f"The nurse met the guard in hall {i} because _ was late." for i in range(n)],
            "choices": [
                [
                    f"The nurse met the guard in hall {i} because {pronoun} was late."
                    for pronoun in (("he", "she") if i % 2 else ("she", "he"))
                ]
                + (["the guard", "the nurse"] if i % 2 else ["the nurse", "the guard"])
                for i in range(n)
            ],
            "type": [str(1 + i // 2 % 2) for i in range(n)],
        }
    )
