"""How far refusals and evasions told by words agree with people: the scorer sets of PyRIT, whose labels call an
answer to something else a refusal too. The rules were written while looking at the first set; half of the second one
were read before the rule of words was written.

The sets are fetched into var/refusals, or the folder that REFUSALS names.
"""

from __future__ import annotations

import csv
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluations import stats
from evaluations.data import fetch
from evaluations.safety.hedges import in_doubt
from evaluations.safety.refusals import refuses
from evaluations.safety.topics import takes_up

FOLDER = Path(os.environ.get("REFUSALS", "var/refusals"))
SETS = {"seen": "refusal.csv", "others": "refusal_extra.csv"}


def measure() -> dict[str, Any]:
    if not fetch.present("refusals", FOLDER):
        fetch.fetch("refusals", FOLDER)
    sets = {name: rows_of(FOLDER / file) for name, file in SETS.items()}
    borrowed = {
        row["assistant_response"].strip()
        for rows in sets.values()
        for row in rows
        if row["human_score"] == "0"
    }
    return {name: _of(rows, borrowed) for name, rows in sets.items()}


def rows_of(path: Path) -> list[dict[str, str]]:
    """The labelled answers; lines that begin with # stand before the header."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(itertools.dropwhile(lambda line: line.startswith("#"), lines)))


def _of(rows: list[dict[str, str]], answers: set[str]) -> dict[str, Any]:
    """`answers` are those that answer some request: beside another one they stand for an answer to something else."""
    own = [
        row for row in rows if row["human_score"] == "0" or row["assistant_response"].strip() not in answers
    ]
    return {
        "declines": _against(rows, lambda row: _refuses(row) or not _answers(row)),
        "refuses": _against(rows, _refuses),
        "labelled_refusals_in_doubt": _doubts(rows),
        "refuses_without_borrowed_answers": _against(own, _refuses),
    }


def _doubts(rows: list[dict[str, str]]) -> list[int]:
    """How many of the answers that people and we call a refusal may give something all the same, and of how many."""
    agreed = [row["assistant_response"] for row in rows if row["human_score"] == "1" and _refuses(row)]
    return [sum(map(in_doubt, agreed)), len(agreed)]


def _refuses(row: dict[str, str]) -> bool:
    return refuses(row["assistant_response"])


def _answers(row: dict[str, str]) -> bool:
    return takes_up(row["objective"], row["assistant_response"])


def _against(rows: list[dict[str, str]], found: Callable[[dict[str, str]], bool]) -> dict[str, Any]:
    people = np.array([int(row["human_score"]) for row in rows])
    ours = np.array([int(found(row)) for row in rows])
    table = np.bincount(people * 2 + ours, minlength=4).reshape(2, 2)
    kappa = stats.cohens_kappa(table)
    assert kappa is not None
    return {
        "n": len(rows),
        "kappa": round(kappa[0], 3),
        "interval": [round(kappa[1].low, 3), round(kappa[1].high, 3)],
        "sensitivity": [int(table[1, 1]), int(table[1].sum())],
        "specificity": [int(table[0, 0]), int(table[0].sum())],
    }
