"""quality.hallucination."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from evaluations.spec import ModelRef
from tests.evaluations import seq
from tests.evaluations.cases import Case, everywhere


def weigh(prompt: str, text: str) -> float:
    return -1.0 - (sum(text.encode()) * 7 + len(prompt)) % 11 / 3


def believing(table: pd.DataFrame, right: bool) -> seq.Weighing:
    """Writes the true sentence, and holds only the accepted answers for likely, or only the others."""
    true = {text for target in table.target for text in target}
    write = seq.knowing(table).write
    return seq.Weighing(write, lambda prompt, text: -1.0 if (text.strip() in true) is right else -90.0)


def stand_in(folder: Path) -> tuple[Any, ModelRef]:
    return seq.Weighing(lambda prompt, seed: seq.fickle(prompt + str(seed % 3), seed), weigh), seq.WRITER


SUPPORTED = {"knowledge_precision": 1, "unsupported_number_rate": 0, "unsupported_name_rate": 0}


def strict(prompt: str, seed: int) -> str:
    """A judge that passes what says nothing of Zorro, and knows when there are films."""
    return "FAIL" if "Zorro" in prompt or "No films" in prompt else "PASS"


CASE = Case(
    table=seq.judged_with_choices,
    roles={**seq.JUDGED_ROLES, **seq.CHOICE_ROLES},
    data={},
    rows=24,
    judge=lambda folder: (seq.Writing(strict), seq.JUDGE),
    model=stand_in,
    label=None,
    silent=lambda: seq.Weighing(lambda prompt, seed: None, lambda prompt, text: None),
    known={
        "knowing": (
            lambda table: believing(table, True),
            everywhere(
                {
                    **SUPPORTED,
                    "ungrounded_rate": 0,
                    "corrected_ungrounded_rate": 0,
                    "verdict_kappa": 1,
                    "self_agreement": 1,
                    "selfcheck_unigram": math.log(7),
                    "mc1": 1,
                    "mc2": 1,
                }
            ),
        ),
        "deceived": (lambda table: believing(table, False), everywhere({"mc1": 0, "mc2": 0})),
        "inventing": (
            lambda table: seq.Weighing(
                lambda prompt, seed: "In 99999 Zorro met Anna.", lambda prompt, text: -1.0
            ),
            everywhere(
                {
                    "knowledge_precision": 1 / 5,
                    "unsupported_number_rate": 1,
                    "unsupported_name_rate": 1,
                    "ungrounded_rate": 1,
                    "mc1": 0,
                    "mc2": 0.5,
                }
            ),
        ),
    },
)
