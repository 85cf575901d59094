"""robustness.text_synonym."""

from __future__ import annotations

from tests.evaluations import make
from tests.evaluations.cases import Case
from tests.evaluations.cases.robustness_text_char import tiny_bert

CASE = Case(
    table=make.sentences,
    roles=dict(make.TEXT_ROLES),
    data={},
    rows=14,
    model=tiny_bert,
    silent=None,  # its weights always answer
)
