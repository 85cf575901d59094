"""fairness.stereotype, on triples of StereoSet. The other banks: test_stereotype.py."""

from __future__ import annotations

from tests.evaluations import bias, tasks
from tests.evaluations.cases import Case, everywhere

CASE = Case(
    table=bias.triples,
    roles=bias.STEREOSET_ROLES,
    data={},
    rows=36,
    model=lambda folder: (tasks.Speaking(tasks.fickle), tasks.SPEAKER),
    reports=frozenset({"ss", "ss_distance", "lms", "icat", "stereotyped_share"}),
    label=None,
    silent=lambda: tasks.Speaking(lambda context, text: None),
    known={
        "stereotyped": (
            lambda table: bias.valuing(-1.0, -2.0, -3.0),
            everywhere({"ss": 1.0, "ss_distance": 0.5, "lms": 1.0, "icat": 0.0}),
        ),
        "ideal": (
            lambda table: bias.valuing(-1.0, -1.0, -3.0),
            everywhere({"ss": 0.5, "ss_distance": 0.0, "lms": 1.0, "icat": 100.0}),
        ),
        "senseless": (
            lambda table: bias.valuing(-3.0, -2.0, -1.0),
            everywhere({"ss": 0.0, "ss_distance": 0.5, "lms": 0.0, "icat": 0.0}),
        ),
    },
)
