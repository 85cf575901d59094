"""quality.lm_task."""

from __future__ import annotations

from tests.evaluations import tasks
from tests.evaluations.cases import Case, everywhere

SHARES = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")
N = 24

CASE = Case(
    table=tasks.questions,
    roles=tasks.ROLES,
    data={},
    params={"task": tasks.TASK},
    rows=N,
    model=lambda folder: (tasks.Speaking(tasks.fickle), tasks.SPEAKER),
    label=None,
    silent=lambda: tasks.Speaking(lambda context, text: None),
    reports=frozenset({*SHARES, "exact_match", "f1", "mcc", "brier_score"}),
    known={
        "perfect": (
            tasks.knowing,
            everywhere(dict.fromkeys((*SHARES, "exact_match", "f1", "mcc"), 1.0) | {"brier_score": 0.0}),
        ),
        "inverted": (
            lambda table: tasks.knowing(table, right=False),
            everywhere(
                dict.fromkeys((*SHARES, "exact_match", "f1"), 0.0) | {"mcc": -1.0, "brier_score": 2.0}
            ),
        ),
        "undecided": (  # ties go to the first choice; by length to the second, which is longer
            tasks.undecided,
            everywhere(
                {
                    "acc": tasks.share_of_first(N),
                    "acc_mutual_info": tasks.share_of_first(N),
                    "acc_norm": 1 - tasks.share_of_first(N),
                    "brier_score": 0.5,
                }
            ),
        ),
    },
)
