"""quality.perplexity."""

from __future__ import annotations

import math

from evaluations.spec import Role
from tests.evaluations import make, tasks
from tests.evaluations.cases import Case, everywhere

CASE = Case(
    table=make.sentences,
    roles={"id": Role.ID, "text": Role.INPUT},
    data={},
    rows=30,
    model=lambda folder: (tasks.Speaking(tasks.fickle), tasks.SPEAKER),
    label=None,
    silent=lambda: tasks.Speaking(lambda context, text: None),
    known={
        "certain": (
            lambda table: tasks.Speaking(lambda context, text: 0.0),
            everywhere({"word_perplexity": 1.0, "byte_perplexity": 1.0, "bits_per_byte": 0.0}),
        ),
        "one of four bytes": (
            lambda table: tasks.Speaking(lambda context, text: -len(text.encode()) * math.log(4)),
            everywhere({"byte_perplexity": 4.0, "bits_per_byte": 2.0}),
        ),
        "one of a hundred words": (
            lambda table: tasks.Speaking(lambda context, text: -len(text.split()) * math.log(100)),
            everywhere({"word_perplexity": 100.0}),
        ),
    },
)
