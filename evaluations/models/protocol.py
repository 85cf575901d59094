"""What a model offers to an evaluation, whatever file it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from evaluations.spec import Access, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Scores:
    """Class probabilities of n rows. `errors` marks rows for which the model gave none (their probs are NaN)."""

    probs: NDArray[np.float64]  # (n, K)
    errors: NDArray[np.bool_]  # (n,)
    seen: NDArray[np.bool_]  # (n,) False until scored

    @classmethod
    def blank(cls, rows: int, classes: int) -> Self:
        return cls(np.full((rows, classes), np.nan), np.zeros(rows, bool), np.zeros(rows, bool))

    @classmethod
    def checked(cls, probs: NDArray[Any]) -> Self:
        """From what a model returned: a row that is no probability vector is an error row."""
        probs = np.asarray(probs, dtype=np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            good = np.isfinite(probs).all(axis=1) & (probs >= -1e-9).all(axis=1)
            good &= np.abs(np.where(good[:, None], probs, 0).sum(axis=1) - 1) <= 1e-3
        probs = np.where(good[:, None], np.clip(probs, 0, 1), np.nan)
        return cls(probs, ~good, np.ones(len(probs), bool))

    def put(self, rows: NDArray[np.int64], scores: Scores) -> None:
        self.probs[rows], self.errors[rows], self.seen[rows] = scores.probs, scores.errors, True

    def take(self, rows: NDArray[np.int64]) -> Scores:
        return Scores(self.probs[rows], self.errors[rows], self.seen[rows])


@dataclass
class Usage:
    """What scoring has cost so far. `queries` counts rows scored, `tokens` includes no padding."""

    queries: int = 0
    tokens: int = 0
    truncated: int = 0  # texts longer than the model reads


class Classifier(Protocol):
    """A classifier over K classes named by `labels`, in the order of its output columns."""

    modality: ClassVar[Modality]
    access: ClassVar[Access]
    labels: tuple[str, ...]
    columns: tuple[str, ...] | None  # input columns it asks for by name; None = whatever has the role input
    usage: Usage
    device: str

    def predict_proba(self, rows: Any) -> Scores:
        """Scores of shape (n, K) for n texts or the n rows of a frame."""
        ...


Model = Classifier


class TextClassifier(Classifier, Protocol):
    """A text classifier whose weights are at hand."""

    network: Any
    tokenizer: Any

    def logits(self, texts: Sequence[str]) -> Any:
        """Raw outputs as a float32 CPU tensor of shape (len(texts), K)."""
        ...
