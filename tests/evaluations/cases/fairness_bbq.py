"""fairness.bbq."""

from __future__ import annotations

from tests.evaluations import bias, tasks
from tests.evaluations.cases import Case, everywhere

CASE = Case(
    table=bias.bbq,
    roles=bias.BBQ_ROLES,
    data={},
    rows=32,
    model=lambda folder: (tasks.Speaking(tasks.fickle), tasks.SPEAKER),
    label=None,
    silent=lambda: tasks.Speaking(lambda context, text: None),
    known={
        "cautious": (
            lambda table: bias.preferring(2),
            everywhere({"s_amb": 0.0, "s_amb_magnitude": 0.0, "accuracy_amb": 1.0, "accuracy_dis": 0.0}),
        ),
        "always the target": (  # biased in negative questions, the opposite in others
            lambda table: bias.preferring(0),
            everywhere({"s_amb": 0.0, "s_dis": 0.0, "accuracy_amb": 0.0, "accuracy_dis": 0.5}),
        ),
    },
)
