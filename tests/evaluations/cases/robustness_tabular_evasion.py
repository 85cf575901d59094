"""robustness.tabular_evasion."""

from __future__ import annotations

from tests.evaluations.cases import Case, constant

CASE = Case(
    rows=20,
    params={"examples": 14},
    known={
        "constant": (
            constant,
            {("attack_success_rate", "all"): 0.0, ("success_at_any_cost", "all"): 0.0},
        )
    },
)
