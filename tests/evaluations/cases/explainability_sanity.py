"""explainability.sanity: a tiny random BERT, and a copy of it that is hardly taught."""

from __future__ import annotations

from evaluations.spec import Role
from tests.evaluations import make
from tests.evaluations.cases import Case
from tests.evaluations.cases.robustness_text_char import tiny_bert

CASE = Case(
    table=lambda n: make.sentences(n).drop(columns="label"),
    roles={"id": Role.ID, "text": Role.INPUT},
    data={},
    params={
        "networks": 2,
        "repeated": 3,
        "seeds": 2,
        "nearby": 1,
        "steps": 12,
        "learning_rate": 0.003,
        "min_planted": 1,
    },
    rows=12,
    model=tiny_bert,
    label=None,
    silent=None,  # its weights always answer
)
