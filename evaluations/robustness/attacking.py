"""Runs a TextAttack recipe on many examples. Needs `textattack_setup.prepare` before it is imported."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from textattack.attack_results import SkippedAttackResult, SuccessfulAttackResult
from textattack.models.wrappers import ModelWrapper

from evaluations.models.protocol import TextClassifier

Build = Callable[[Any], Any]  # model wrapper -> textattack.Attack


class DynamicPaddingWrapper(ModelWrapper):  # type: ignore[misc]  # TextAttack has no types
    """TextAttack's HuggingFaceModelWrapper, padded to the longest text of a batch instead of the maximum."""

    def __init__(self, classifier: TextClassifier) -> None:
        self.classifier = classifier
        self.model = classifier.network  # TextAttack reads its class

    def __call__(self, texts: Sequence[str]) -> Any:
        return self.classifier.logits(texts)


@dataclass(frozen=True)
class Attacked:
    """What one attack found. `text` is None unless the answer changed."""

    text: str | None
    queries: int
    skipped: bool  # the answer was wrong before any change


def attack_texts(
    model: TextClassifier,
    build: Build,
    texts: Sequence[str],
    truths: Sequence[int],
    rngs: Sequence[np.random.Generator],
) -> Iterator[tuple[int, Attacked | Exception]]:
    """(position, what was found) as each example ends, in any order; an exception where a text broke the attack.

    Each example draws from its own generator, so that order and company change nothing.
    """
    attack = build(DynamicPaddingWrapper(model))
    for i, (text, truth, rng) in enumerate(zip(texts, truths, rngs, strict=True)):
        try:
            yield i, attack_one(attack, text, truth, rng)
        except (MemoryError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # the caller counts it as an error row
            yield i, error


def attack_one(attack: Any, text: str, truth: int, rng: np.random.Generator) -> Attacked:
    """Attacks one example. TextAttack draws from the global generators, so they are seeded for each example."""
    state, numpy_state = random.getstate(), np.random.get_state()
    seed = int(rng.integers(2**32))
    random.seed(seed)
    np.random.seed(seed)
    try:
        attack.clear_cache()  # or a skipped example's cache would outlive it
        result = attack.attack(text, truth)
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
    return Attacked(
        text=result.perturbed_text() if isinstance(result, SuccessfulAttackResult) else None,
        queries=int(result.num_queries),
        skipped=isinstance(result, SkippedAttackResult),
    )
