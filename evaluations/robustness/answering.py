"""How any text classifier answers an attack: raw outputs where it has them, as TextAttack does, else probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluations.engine.fingerprint import check_stopped
from evaluations.engine.first_token import first_token_alone
from evaluations.engine.lockstep import Answer
from evaluations.models.protocol import Classifier, Remote


class NoAnswer(Exception):
    """The model gave no answer to a text that an attack needs answered."""


def answer_of(model: Classifier) -> Answer:
    """A function from texts to a tensor of K scores for each."""
    return _Probabilities(model) if getattr(model, "logits", None) is None else _Logits(model)


class _Logits:
    """Raw outputs in single precision, from which TextAttack makes probabilities as it does with its own wrapper."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, texts: list[str]) -> Any:
        with first_token_alone(self.model.network):
            return self.model.logits(texts)


class _Probabilities:
    """Probabilities in double precision, whose sums TextAttack accepts as they are: it takes other rows for logits."""

    def __init__(self, model: Classifier) -> None:
        self.model = model

    def __call__(self, texts: list[str]) -> Any:
        import torch

        at_once = self.model.at_once if isinstance(self.model, Remote) else len(texts)
        found = []
        for start in range(0, len(texts), max(1, at_once)):
            found.append(self.model.predict_proba(texts[start : start + at_once]).probs)
            check_stopped(self.model)  # rows not asked for came back as errors
        probs = np.concatenate(found)
        return torch.from_numpy(probs / probs.sum(axis=1, keepdims=True))
