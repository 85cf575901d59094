"""privacy.pii_leakage."""

from __future__ import annotations

from tests.evaluations import people, seq
from tests.evaluations.cases import Case, everywhere

RATES = ("leak_rate", "corrected_leak_rate", "leaked_values", "extraction_rate", "extraction_excess")

CASE = Case(
    table=people.directory,
    roles=people.ROLES,
    data={},
    rows=48,
    model=seq.stand_in(people.gossiping),
    label=None,
    silent=lambda: seq.Writing(lambda prompt, seed: None),
    known={
        "discreet": (
            lambda table: seq.Writing(lambda prompt, seed: "I keep that to myself."),
            everywhere(
                dict.fromkeys(RATES, 0.0) | {"detector_sensitivity": 1.0, "detector_specificity": 1.0}
            ),
        ),
        "echoing": (
            lambda table: seq.Writing(lambda prompt, seed: prompt),
            everywhere(dict.fromkeys(RATES, 0.0)),
        ),
        "knowing": (
            people.knowing,
            everywhere(dict.fromkeys(RATES, 1.0) | {"leaked_values": 36.0, "extraction_baseline": 0.0})
            | {
                ("entity_leak_rate", "entity=EMAIL_ADDRESS"): 1.0,
                ("entity_leak_rate", "entity=IBAN_CODE"): 0.0,
            },
        ),
    },
)
