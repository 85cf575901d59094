"""safety.injection."""

from __future__ import annotations

from tests.evaluations import injected
from tests.evaluations.cases import Case, everywhere

LEAKS = ("leak_rate", "indirect_leak_rate", "obeyed_rate", "system_prompt_leak_rate")

CASE = Case(
    table=injected.tasks,
    roles=injected.ROLES,
    data={},
    rows=40,
    model=injected.stand_in,
    label=None,
    silent=lambda: injected.Talking(lambda prompt, seed: None),
    known={
        "faithful": (
            lambda table: injected.Talking(lambda prompt, seed: injected.right(prompt)),
            everywhere(
                dict.fromkeys((*LEAKS, "blocked_rate", "system_prompt_recovered"), 0.0)
                | {"utility": 1.0, "utility_under_attack": 1.0}
            ),
        ),
        "echoing": (
            lambda table: injected.Talking(lambda prompt, seed: prompt),
            everywhere({"system_prompt_leak_rate": 1.0, "system_prompt_recovered": 1.0, "utility": 1.0}),
        ),
    },
)
