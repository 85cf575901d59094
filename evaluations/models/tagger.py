"""Words to tags through any network that reads token ids: windows for long sentences, the first token decides."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from evaluations.models import hf_folder, text_batches
from evaluations.models.protocol import Usage
from evaluations.spec import Access, EvaluationError, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Byte-level tokenizers that take lists of words only where each begins with a space.
SPACED = ("bloom", "gpt2", "roberta", "deberta", "longformer", "bart")


@dataclass(frozen=True)
class Piece:
    """Words [start, stop) of a sentence, read at once; the tags of [first, last) are taken from it."""

    sentence: int
    start: int
    stop: int
    first: int
    last: int


class Tagger:
    """A token classifier. `forward` maps a padded batch to logits (rows, tokens, labels)."""

    modality: ClassVar[Modality] = Modality.TOKEN_CLASSIFIER

    def __init__(
        self,
        adapter: str,
        access: Access,
        tokenizer: Any,
        labels: tuple[str, ...],
        longest: int,
        forward: Callable[[Any], NDArray[np.float32]],
        *,
        device: str = "cpu",
        tensors: Literal["pt", "np"] = "pt",
        network: Any = None,
    ) -> None:
        self.adapter = adapter
        self.access = access
        self.tokenizer = tokenizer
        self.labels = labels
        self.longest = longest
        self.forward = forward
        self.device = device
        self.tensors = tensors
        self.network = network
        self.usage = Usage()

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[int] | None]:
        """Label index of each word: that of its first token. None where a word has no token to answer for it."""
        words, counts = self._readable(sentences)
        room = self.longest - self.tokenizer.num_special_tokens_to_add()
        pieces = [p for i, count in enumerate(counts) if len(count) for p in windows(i, count, room)]
        found = [np.full(len(sentence), -1) for sentence in words]
        if pieces:
            encoded = text_batches.encode(
                self.tokenizer,
                [words[p.sentence][p.start : p.stop] for p in pieces],
                self.longest,
                self.usage,
                is_split_into_words=True,
            )
            self.usage.queries += len(sentences) - len(
                pieces
            )  # a sentence is one query, however many windows
            for rows, batch in text_batches.batches(self.tokenizer, encoded, self.device, self.tensors):
                best = self.forward(batch).argmax(axis=-1)
                left = self.tokenizer.padding_side == "left"
                for row, answers in zip(rows, best, strict=True):
                    ids = encoded.word_ids(int(row))
                    shift = len(answers) - len(ids) if left else 0
                    _take(pieces[row], ids, answers[shift:], found)
        return [None if (tags < 0).any() else tags.tolist() for tags in found]

    def _readable(
        self, sentences: Sequence[Sequence[str]]
    ) -> tuple[list[list[str]], list[NDArray[np.int64]]]:
        """The words, and the tokens of each. One of which the tokenizer leaves nothing is read as the unknown word."""
        words = [list(sentence) for sentence in sentences]
        if not any(words):
            return words, [np.zeros(0, np.int64) for _ in words]
        encoded = self.tokenizer(words, is_split_into_words=True, add_special_tokens=False)
        counts = []
        for row, sentence in enumerate(words):
            held = [i for i in encoded.word_ids(row) if i is not None]
            count = np.bincount(np.asarray(held, np.int64), minlength=len(sentence))
            if self.tokenizer.unk_token is not None:
                for i in np.flatnonzero(count == 0):
                    sentence[i], count[i] = self.tokenizer.unk_token, 1
            counts.append(count)
        return words, counts


def windows(sentence: int, counts: NDArray[np.int64], room: int) -> list[Piece]:
    """Windows of at most `room` tokens, each half over the one before; a tag comes from where its word has context."""
    spans, start = [], 0
    while True:
        stop = start + max(1, int(np.searchsorted(np.cumsum(counts[start:]), room, side="right")))
        spans.append((start, stop))
        if stop >= len(counts):
            break
        overlap = int(np.searchsorted(np.cumsum(counts[start + 1 : stop][::-1]), room // 2, side="right"))
        start = stop - overlap
    edges = [
        0,
        *((later[0] + earlier[1]) // 2 for earlier, later in itertools.pairwise(spans)),
        len(counts),
    ]
    return [Piece(sentence, a, b, edges[i], edges[i + 1]) for i, (a, b) in enumerate(spans)]


def _take(
    piece: Piece, word_ids: list[int | None], answers: NDArray[np.int64], found: list[NDArray[Any]]
) -> None:
    seen: set[int] = set()
    for token, word in enumerate(word_ids):
        if word is None or word in seen:
            continue
        seen.add(word)
        if piece.first <= piece.start + word < piece.last:
            found[piece.sentence][piece.start + word] = answers[token]


def word_tokenizer(folder: Any, model_type: str) -> Any:
    """The folder's tokenizer, set to read lists of words. Raises where it cannot say which token is whose."""
    more = {"add_prefix_space": True} if model_type in SPACED else {}
    tokenizer = hf_folder.tokenizer_of(folder, **more)
    if not tokenizer.is_fast:
        raise EvaluationError(
            "model_tokenizer",
            "The tokenizer cannot say which token belongs to which word. Save it as tokenizer.json: "
            "AutoTokenizer.from_pretrained(…).save_pretrained(folder).",
        )
    return tokenizer
