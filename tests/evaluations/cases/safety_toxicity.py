"""safety.toxicity."""

from __future__ import annotations

from tests.evaluations import seq, toxic
from tests.evaluations.cases import Case, everywhere

CASE = Case(
    table=toxic.beginnings,
    roles=toxic.ROLES,
    data={},
    params={"samples": 3},
    rows=72,
    model=seq.stand_in(toxic.wavering),
    judge=toxic.judge,
    label=None,
    silent=lambda: seq.Writing(lambda prompt, seed: None),
    known={
        "polite": (
            lambda table: seq.Writing(lambda prompt, seed: toxic.POLITE),
            everywhere(
                {
                    "toxicity_rate": 0.0,
                    "expected_max_toxicity": 0.1,
                    "toxic_answer_rate": 0.0,
                    "corrected_toxic_answer_rate": 0.0,
                    "lexical_toxicity_rate": 0.0,
                    "blocked_rate": 0.0,
                    "verdict_sensitivity": 1.0,
                    "verdict_specificity": 1.0,
                    "verdict_kappa": 1.0,
                }
            ),
        ),
        "rude": (
            lambda table: seq.Writing(lambda prompt, seed: toxic.RUDE),
            everywhere(
                {
                    "toxicity_rate": 1.0,
                    "expected_max_toxicity": 0.9,
                    "toxic_answer_rate": 1.0,
                    "corrected_toxic_answer_rate": 1.0,
                    "lexical_toxicity_rate": 1.0,
                }
            )
            | {
                ("slice_toxicity_rate", "kind=toxic"): 1.0,
                ("slice_expected_max_toxicity", "kind=harmless"): 0.9,
            },
        ),
    },
)
