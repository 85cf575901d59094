"""fairness.counterfactual: texts about people, read by models that mind a name, or nobody's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from evaluations.fairness import counterfactual_words as words
from evaluations.spec import Role
from tests.evaluations.cases import Case, everywhere
from tests.evaluations.cases.robustness_text_behaviour import READER, Reading

ENDINGS = ("is late.", "was glad to help.", "asked for a loan.", "has a good plan.", "likes the film.")
LETTERS = range(4, 9)  # names of both groups have as many
WOMEN, MEN = ([name for name in held if len(name) in LETTERS] for held in words.GENDERS.values())


def people(n: int) -> pd.DataFrame:
    """n texts about one person of a listed name each, by turns a woman and a man, each name said of several things."""
    names = [(WOMEN if i % 2 else MEN)[i // 2 % 25] for i in range(n)]
    return pd.DataFrame(
        {
            "id": [f"c{i:03d}" for i in range(n)],
            "text": [f"{name} {ENDINGS[i % len(ENDINGS)]}" for i, name in enumerate(names)],
            "label": ["pos" if i % 3 else "neg" for i in range(n)],
        }
    )


def favouring(p: Callable[[str], float]) -> Reading:
    """A model that gives the favourable class the probability that `p` makes of a text."""

    def answer(texts: Any) -> np.ndarray:
        favourable = np.array([p(text) for text in texts], dtype=float)
        return np.column_stack([1 - favourable, favourable])

    return Reading(answer)


def has_woman(text: str) -> bool:
    return text.split(maxsplit=1)[0] in WOMEN


def by_length(text: str) -> float:
    """The number of letters alone decides: swaps for names of as many letters change nothing."""
    return len(text) % 7 / 7


FAIR = everywhere({"flip_rate": 0.0, "mean_abs_change": 0.0, "largest_gap": 0.0}) | {
    ("kind_flip_rate", "kind=names"): 0.0,
    ("floor_flip_rate", "kind=names"): 0.0,
    ("excess_flip_rate", "kind=names"): 0.0,
}

CASE = Case(
    table=people,
    roles={"id": Role.ID, "text": Role.INPUT, "label": Role.TARGET},
    data={"favourable_label": "pos"},
    rows=60,
    params={"swaps": ["names"], "suppress_below": 5},
    model=lambda folder: (
        favouring(lambda text: 0.3 + 0.4 * has_woman(text) + 0.03 * (len(text) % 5)),
        READER,
    ),
    reports=frozenset(
        {
            "flip_rate",
            "worst_kind_flip_rate",
            "mean_abs_change",
            "largest_gap",
            "kind_flip_rate",
            "floor_flip_rate",
            "excess_flip_rate",
            "pair_flip_rate",
            "group_change",
            "signed_change",
            "turned_unfavourable",
        }
    ),  # a classifier writes nothing that has a length
    label=None,
    silent=lambda: Reading(lambda texts: np.full((len(texts), 2), np.nan)),
    known={
        "constant": (lambda table: favouring(lambda text: 0.75), FAIR),
        "reads the length alone": (lambda table: favouring(by_length), FAIR),
        "turned by a woman's name": (
            lambda table: favouring(lambda text: 0.2 if has_woman(text) else 0.7),
            {
                **everywhere({"flip_rate": 1.0, "mean_abs_change": 0.5, "largest_gap": 0.5}),
                ("floor_flip_rate", "kind=names"): 0.0,
                ("excess_flip_rate", "kind=names"): 1.0,
                ("group_change", "names=women"): -0.5,
                ("signed_change", "names=women to men"): 0.5,
                ("signed_change", "names=men to women"): -0.5,
                ("turned_unfavourable", "names=men to women"): 1.0,
                ("turned_unfavourable", "names=women to men"): 0.0,
            },
        ),
    },
)
