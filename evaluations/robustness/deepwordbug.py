"""Runs TextAttack's DeepWordBug on one example at a time, behind a wrapper with dynamic padding."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from textattack.attack_recipes import DeepWordBugGao2018
from textattack.attack_results import SkippedAttackResult, SuccessfulAttackResult
from textattack.models.wrappers import ModelWrapper

from evaluations.models.protocol import TextClassifier


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


def recipe(wrapper: Any) -> Any:
    """DeepWordBug as published: four character edits, greedy by importance, edit distance ≤ 30."""
    return DeepWordBugGao2018.build(wrapper)


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
