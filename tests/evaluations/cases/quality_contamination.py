"""quality.contamination."""

from __future__ import annotations

from evaluations.spec import Role
from tests.evaluations import make, tasks
from tests.evaluations.cases import Case, everywhere

CASE = Case(
    table=make.sentences,
    roles={"id": Role.ID, "text": Role.INPUT},
    data={},
    params={"block": 3, "shuffles": 8},
    rows=30,
    model=lambda folder: (tasks.Speaking(tasks.fickle), tasks.SPEAKER),
    label=None,
    silent=lambda: tasks.Speaking(lambda context, text: None),
    known={
        "indifferent": (tasks.undecided, everywhere({"exchangeability_p": 1.0, "order_gain": 0.0})),
    },
)
