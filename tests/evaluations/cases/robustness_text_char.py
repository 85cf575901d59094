"""robustness.text_char."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evaluations.models.loader import load
from evaluations.spec import ModelRef
from tests.evaluations import make
from tests.evaluations.cases import Case


def tiny_bert(folder: Path) -> tuple[Any, ModelRef]:
    ref = make.tiny_bert(folder)
    return load(ref), ref


CASE = Case(
    table=make.sentences,
    roles=dict(make.TEXT_ROLES),
    data={},
    params={"recipes": ["deepwordbug", "input_reduction"]},
    rows=14,
    model=tiny_bert,
    silent=None,  # its weights always answer
)
