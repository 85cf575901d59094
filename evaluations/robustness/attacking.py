"""Runs a TextAttack recipe on many examples. Needs `textattack_setup.prepare` before it is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from textattack.attack_results import SkippedAttackResult, SuccessfulAttackResult
from textattack.models.wrappers import ModelWrapper

from evaluations.engine.lockstep import Work, ask, side_by_side
from evaluations.models.protocol import Classifier
from evaluations.robustness.answering import NoAnswer, answer_of
from evaluations.robustness.word_memory import words_remembered

Build = Callable[[Any], Any]  # model wrapper -> textattack.Attack

ACTIVE = 32  # examples under attack at once
LETTERS = 2**14  # of them together: an attack holds a copy of the whole text for each of its words


class Victim(ModelWrapper):  # type: ignore[misc]  # TextAttack has no types
    """The model as TextAttack's attacks see it: what they ask is answered together with what others ask."""

    def __init__(self, model: Classifier) -> None:
        self.model = getattr(model, "network", model)  # TextAttack reads its class
        self.answer = answer_of(model)

    def __call__(self, texts: Sequence[str]) -> Any:
        import torch

        scores = torch.stack(list(ask(self.answer, texts)))
        if scores.isnan().any():
            raise NoAnswer("The model gave no answer to a changed text.")
        return scores


@dataclass(frozen=True)
class Attacked:
    """What one attack found. `text` is None unless the answer changed."""

    text: str | None
    queries: int
    skipped: bool  # the answer was wrong before any change


def attack_texts(
    model: Classifier,
    build: Build,
    texts: Sequence[str],
    truths: Sequence[int],
    rngs: Sequence[np.random.Generator],
    each_round: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Attacked | Exception]]:
    """(position, what was found) as each example ends, in any order; an exception where a text broke the attack.

    Each example draws from its own generator, so that order and company change nothing. `each_round` is called
    between questions to the model, and may raise.
    """
    victim = Victim(model)
    idle: list[Any] = []  # attacks hold state, so that each active example needs its own

    def works() -> Iterator[Work[Attacked]]:
        for text, truth, rng in zip(texts, truths, rngs, strict=True):
            attack = idle.pop() if idle else _whole_lists(build(victim))
            yield Work(partial(_attack, attack, text, truth, idle), int(rng.integers(2**32)), len(text))

    with words_remembered():
        yield from side_by_side(works(), ACTIVE, LETTERS, each_round)


def _whole_lists(attack: Any) -> Any:
    """The attack, asking about all candidates of a step at once instead of 32 at a time."""
    attack.goal_function.batch_size = sys.maxsize
    return attack


def _attack(attack: Any, text: str, truth: int, idle: list[Any]) -> Attacked:
    attack.clear_cache()  # or a skipped example's cache would outlive it
    result = attack.attack(text, truth)
    idle.append(attack)  # one that broke is not used again
    return Attacked(
        text=result.perturbed_text() if isinstance(result, SuccessfulAttackResult) else None,
        queries=int(result.num_queries),
        skipped=isinstance(result, SkippedAttackResult),
    )
