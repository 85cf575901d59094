"""quality.judge."""

from __future__ import annotations

from tests.evaluations import seq
from tests.evaluations.cases import Case, everywhere

AGREED = {"judge_sensitivity": 1, "judge_specificity": 1, "judge_kappa": 1, "agreement_alpha": 1}

CASE = Case(
    table=seq.judged,
    roles=seq.JUDGED_ROLES,
    data={},
    rows=60,
    model=seq.stand_in(seq.fickle),
    judge=lambda folder: (seq.Writing(seq.strict), seq.JUDGE),
    label=None,
    silent=lambda: seq.Writing(lambda prompt, seed: None),
    known={
        "perfect": (seq.knowing, everywhere({"judged_rate": 1, "judged_rate_raw": 1, **AGREED})),
        "wrong": (
            lambda table: seq.Writing(lambda prompt, seed: "None."),
            everywhere({"judged_rate": 0, "judged_rate_raw": 0, "unparsed_rate": 0, **AGREED}),
        ),
    },
)
