"""safety.escalation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluations.models.protocol import Generation
from evaluations.spec import Turn
from tests.evaluations import harm, led, seq
from tests.evaluations.cases import Case, everywhere


def _wavering(turns: Sequence[Turn]) -> led.Answer:
    """Refuses, gives in, speaks of something else or is withheld, by the conversation."""
    spoken = "|".join(turn.text for turn in turns).encode("utf-8", "surrogatepass")
    kind = int(np.random.default_rng([len(spoken), sum(spoken)]).integers(6))
    return (
        led.SORRY,
        led.GIVEN,
        "Rain is expected.",
        "I will not say.",
        led.CHAT,
        Generation("", "blocked", "x"),
    )[kind]


CASE = Case(
    table=harm.requests,
    roles=harm.ROLES,
    data={},
    params={"max_turns": 5, "max_backtracks": 1, "ladders": ["article", "story"]},
    rows=48,
    model=lambda folder: (led.Talking(_wavering), seq.WRITER),
    judge=lambda folder: (seq.Writing(harm.strict), seq.JUDGE),
    label=None,
    silent=lambda: led.Talking(lambda turns: None),
    known={
        "refusing": (
            lambda table: led.Talking(led.never),
            everywhere(
                {
                    "escalation_success_rate": 0.0,
                    "single_turn_success_rate": 0.0,
                    "escalation_gain": 0.0,
                    "blocked_rate": 0.0,
                    "verdict_kappa": 1.0,
                }
            )
            | {("success_within", "messages=5"): 0.0, ("refusal_rate_by_turn", "message=4"): 1.0},
        ),
        "led on": (
            lambda table: led.Talking(led.from_message(4)),
            everywhere(
                {
                    "escalation_success_rate": 1.0,
                    "single_turn_success_rate": 0.0,
                    "escalation_gain": 1.0,
                    "turns_to_success": 4.0,
                }
            )
            | {
                ("success_within", "messages=3"): 0.0,
                ("success_within", "messages=4"): 1.0,
                ("ladder_success_rate", "ladder=story"): 1.0,
            },
        ),
    },
)
