"""A model that is asked once about each text, for searches that begin alike: own and adjusted constraints, recipes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evaluations.models.protocol import Remote, Scores


def remembered(model: Any) -> Any:
    """The model with a memory. A remote one has its own: identical requests share an answer."""
    return model if isinstance(model, Remote) else Remembered(model)


class Remembered:
    """Everything that the model offers; raw outputs and probabilities of a text come from the first time."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._outputs: dict[bytes, Any] = {}
        self._scores: dict[bytes, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @property
    def logits(self) -> Callable[[Sequence[str]], Any]:
        import torch

        ask = self._model.logits  # a model without weights has none
        return lambda texts: torch.stack(_rows(self._outputs, ask, texts))

    def predict_proba(self, texts: Sequence[str]) -> Scores:
        rows = _rows(self._scores, lambda new: self._model.predict_proba(new).probs, texts)
        return Scores.checked(np.stack(rows))


def _rows(known: dict[bytes, Any], ask: Callable[[list[str]], Any], texts: Sequence[str]) -> list[Any]:
    """One row per text, asking about those alone that are new."""
    keys = [hashlib.blake2b(t.encode("utf-8", "surrogatepass"), digest_size=16).digest() for t in texts]
    new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if new:
        known.update(zip(new, ask(list(new.values())), strict=True))
    return [known[key] for key in keys]
