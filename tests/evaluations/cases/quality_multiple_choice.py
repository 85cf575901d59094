"""quality.multiple_choice."""

from __future__ import annotations

from tests.evaluations import tasks
from tests.evaluations.cases import Case, everywhere

N = 24
SHARES = ("acc", "acc_norm")

CASE = Case(
    table=tasks.questions,
    roles=tasks.ROLES,
    data={},
    rows=N,
    model=lambda folder: (tasks.Speaking(tasks.fickle), tasks.SPEAKER),
    label=None,
    silent=lambda: tasks.Speaking(lambda context, text: None),
    known={
        "perfect": (tasks.knowing, everywhere(dict.fromkeys(SHARES, 1.0) | {"brier": 0.0})),
        "inverted": (
            lambda table: tasks.knowing(table, right=False),
            everywhere(dict.fromkeys(SHARES, 0.0) | {"brier": 2.0}),
        ),
        "undecided": (  # ties go to the first choice; by length to the second, which is longer
            tasks.undecided,
            everywhere(
                {"acc": tasks.share_of_first(N), "acc_norm": 1 - tasks.share_of_first(N), "brier": 0.5}
            ),
        ),
    },
)
