"""MiniLM in place of what TextAttack would download: near words for counter-fitted vectors, likeness for USE."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from textattack.constraints.semantics.sentence_encoders import SentenceEncoder
from textattack.shared import WordEmbedding

from evaluations.robustness import wordnet
from evaluations.robustness.lexical import demand
from evaluations.robustness.sentence_vectors import Encoder
from evaluations.robustness.wordnet import WordNet

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_COSINE = 0.35  # of near words: 7 are that near in the median, of 21,719 words
WORD_VECTORS = "embeddings.word_embeddings.weight"


class NearWords(WordEmbedding):  # type: ignore[misc]  # TextAttack has no types
    """Words by the likeness of MiniLM's input vectors, without those that WordNet opposes to each other.

    Unfiltered, the nearest words of `good` hold `bad`, those of `fresh` hold `stale`.
    """

    def __init__(self, folder: Path, words: WordNet) -> None:
        from safetensors.numpy import load_file

        vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
        # whole words: no pieces (##ing), numbers, signs, single letters or other scripts
        rows = [i for i, v in enumerate(vocabulary) if len(v) > 1 and v.isascii() and v.isalpha()]
        names = [vocabulary[i] for i in rows]
        vectors = load_file(folder / "model.safetensors")[WORD_VECTORS][rows].astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        super().__init__(vectors, {name: i for i, name in enumerate(names)}, dict(enumerate(names)))
        self.words = words
        self._near: dict[int, list[int]] = {}

    def nearest_neighbours(self, index: int, topn: int) -> list[int]:
        """At most `topn` words at least LEAST_COSINE near, nearest first, none an antonym."""
        if index not in self._near:
            likeness: NDArray[np.float32] = self.embedding_matrix @ self.embedding_matrix[index]
            order = np.argsort(-likeness, kind="stable")
            word = self.index2word(index)
            self._near[index] = [
                int(i)
                for i in order[: int((likeness >= LEAST_COSINE).sum())]
                if i != index and not self.words.opposed(word, self.index2word(int(i)))
            ]
        return self._near[index][:topn]

    def cosine(self, one: str, other: str) -> float:
        """Of two words' vectors; -1 where MiniLM has no vector for one of them."""
        try:
            a, b = self.word2index(one.lower()), self.word2index(other.lower())
        except KeyError:
            return -1.0
        return float(self.embedding_matrix[a] @ self.embedding_matrix[b])


class Likeness(SentenceEncoder):  # type: ignore[misc]  # TextAttack has no types
    """TextAttack's sentence constraint with MiniLM in place of the Universal Sentence Encoder."""

    def __init__(self, encoder: Encoder, threshold: float, **how: Any) -> None:
        super().__init__(threshold=threshold, **how)
        self.model = encoder

    def encode(self, sentences: Sequence[str]) -> Any:
        return self.model.encode(sentences)

    def _check_constraint_many(self, transformed_texts: Any, reference_text: Any) -> Any:
        """As TextAttack's, which encodes also the texts that it then lets pass for being short."""
        if not self.skip_text_shorter_than_window:
            return super()._check_constraint_many(transformed_texts, reference_text)
        long = [text for text in transformed_texts if len(text.words) >= self.window_size]
        fit = {id(text) for text in super()._check_constraint_many(long, reference_text)} if long else set()
        for text in transformed_texts:
            if len(text.words) < self.window_size:
                text.attack_attrs["similarity_score"] = 1.0
                fit.add(id(text))
        return [text for text in transformed_texts if id(text) in fit]


@functools.cache
def near_words(resources: Path) -> NearWords:
    """The near words among these resources, once per process."""
    return NearWords(demand("minilm", resources), wordnet.opened(resources))
