"""privacy.memorisation."""

from __future__ import annotations

import math

import pandas as pd

from evaluations.spec import Role
from tests.evaluations import tasks
from tests.evaluations.cases import Case, everywhere

WORDS = 3  # given, and to be stated
CANDIDATES = 240


def table(n: int) -> pd.DataFrame:
    """A third canaries, half of them never inserted, a third passages trained on, a third others."""
    kinds = [("inserted", "member", "control", "other")[i % 4] for i in range(n)]
    planted = [kind in ("inserted", "control") for kind in kinds]
    return pd.DataFrame(
        {
            "id": [f"m{i:03d}" for i in range(n)],
            "text": [
                f"The code of gate {i} is " if p else f"In year {i} they went to the lake of {i}."
                for i, p in enumerate(planted)
            ],
            "secret": [f"k{i * 7919 % 10**7:07d}" if p else None for i, p in enumerate(planted)],
            "times": [
                None if not p else float(1 + i % 3) if kinds[i] == "inserted" else 0.0
                for i, p in enumerate(planted)
            ],
            "seen": [None if p else float(kinds[i] == "member") for i, p in enumerate(planted)],
        }
    )


def parrot(rows: pd.DataFrame) -> tasks.Speaking:
    """A model that knows by heart whatever it was trained on, and finds all else as likely as a hash says."""
    learnt = {row.text.rstrip(): str(row.secret) for row in rows[rows.times > 0].itertuples()}
    for text in rows[rows.seen == 1].text:
        words = text.split()
        learnt[" ".join(words[:WORDS])] = " " + " ".join(words[WORDS : 2 * WORDS])

    def score(context: str, text: str) -> float:
        return -1e-9 if learnt.get(context.rstrip()) == text else tasks.fickle(context, text)

    return tasks.Speaking(score, lambda prompt, seed: learnt.get(prompt, "nothing"))


def dunce(rows: pd.DataFrame) -> tasks.Speaking:
    """A model to which what it was trained on is less likely than all else."""
    learnt = {str(secret) for secret in rows[rows.times > 0].secret}
    return tasks.Speaking(
        lambda context, text: -90.0 if text in learnt else tasks.fickle(context, text),
        lambda prompt, seed: "no",
    )


BITS = math.log2(26 * 10**7)
LARGEST = BITS - math.log2(1 + (26 * 10**7 - 1) / (1 + CANDIDATES))
RATES = {"canaries_stated": 1.0, "verbatim_rate": 1.0, "verbatim_rate_unseen": 0.0, "verbatim_excess": 1.0}

CASE = Case(
    table=table,
    roles={
        "id": Role.ID,
        "text": Role.INPUT,
        "secret": Role.TARGET,
        "times": Role.REPETITIONS,
        "seen": Role.MEMBER,
    },
    data={},
    params={"candidates": CANDIDATES, "prefix_words": WORDS, "suffix_words": WORDS, "continuations": (1, 10)},
    rows=32,
    model=lambda folder: (tasks.Speaking(tasks.fickle, lambda prompt, seed: "to"), tasks.SPEAKER),
    label=None,
    silent=lambda: tasks.Speaking(lambda context, text: None, lambda prompt, seed: None),
    known={
        "parrot": (parrot, everywhere({"exposure": LARGEST, "largest_exposure": LARGEST, **RATES})),
        "dunce": (dunce, everywhere({"exposure": 0.0, "largest_exposure": 0.0, "verbatim_rate": 0.0})),
    },
)
