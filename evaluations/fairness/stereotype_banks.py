"""The three banks of stereotypes: which one a data set holds, and which of its rows a kind of model can be asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from evaluations.spec import EvaluationError, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

BLANK = "BLANK"  # in the input of a StereoSet row whose texts are whole sentences
SCORES = 4  # of a WinoBias row: who is meant and the other, as the stereotype has it and against it
_WORD = re.compile(r"\S+")
_PUNCTUATION = ".,;:!?\"'“”‘’()"


class Bank(StrEnum):
    CROWS_PAIRS = "CrowS-Pairs"  # [more stereotypical sentence, less stereotypical]
    STEREOSET = "StereoSet"  # [stereotype, anti-stereotype, unrelated]
    WINO_BIAS = (
        "WinoBias"  # [sentence as the stereotype has it, with the other pronoun, who is meant, the other]
    )


BY_CHOICES = {2: Bank.CROWS_PAIRS, 3: Bank.STEREOSET, 4: Bank.WINO_BIAS}
HOW = "Two are CrowS-Pairs (more, less stereotypical), three StereoSet (stereotype, anti-stereotype, unrelated), four "
HOW += (
    "WinoBias (sentence with the stereotyped pronoun, with the other pronoun, who is meant, the other one)."
)


def bank_of(data: Dataset) -> Bank:
    """The bank, by how many texts each row offers. Raises EvaluationError where that is none, or not the same."""
    counts = [len(choices) for choices in data.choices]
    first = counts[0]
    if first not in BY_CHOICES or counts.count(first) != len(counts):
        row = next((i for i, count in enumerate(counts) if count != first), 0)
        raise EvaluationError(
            "bank_unknown",
            f"Row {row + 1} (id {str(data.ids[row])[:60]!r}) offers {counts[row]} texts, row 1 offers {first}; "
            f"all rows must offer two, three or four. {HOW} `auditor data bank` writes each from its files.",
        )
    for row, choices in enumerate(data.choices):
        if len(set(choices)) != len(choices):
            raise EvaluationError(
                "bank_texts_alike",
                f"Row {row + 1} (id {str(data.ids[row])[:60]!r}) offers the same text twice: there is nothing to "
                "prefer. Correct it or leave it out.",
            )
    return BY_CHOICES[first]


def scores_of(bank: Bank) -> int:
    """How many scores a row of `bank` has."""
    return {Bank.CROWS_PAIRS: 2, Bank.STEREOSET: 3, Bank.WINO_BIAS: SCORES}[bank]


def asked_rows(data: Dataset, bank: Bank) -> NDArray[np.int64]:
    """The rows that this kind of model can be asked: whether a text follows another one asks no masked model."""
    every: NDArray[np.int64] = np.arange(data.rows)
    if bank is not Bank.STEREOSET or data.modality is not Modality.MASKED_LM:
        return every
    rows = every[np.array([BLANK in text for text in data.texts], dtype=bool)]
    if not len(rows):
        raise EvaluationError(
            "stereoset_follows",
            "Every row asks which text follows another, which a masked language model does not say. Add rows whose "
            f"input holds {BLANK} and whose texts are whole sentences.",
            skipped=True,
        )
    return rows


def differing(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Characters [start, stop) of each text in which it differs from the others: whole words, without punctuation."""
    words = [list(_WORD.finditer(text)) for text in texts]
    shortest = min(map(len, words))
    before = _alike([[w.group() for w in held] for held in words], shortest)
    after = _alike([[w.group() for w in reversed(held)] for held in words], shortest - before)
    found = []
    for text, held in zip(texts, words, strict=True):
        kept = held[before : len(held) - after]
        start, stop = (kept[0].start(), kept[-1].end()) if kept else (0, 0)
        inner = text[start:stop]
        found.append(
            (
                start + len(inner) - len(inner.lstrip(_PUNCTUATION)),
                stop - len(inner) + len(inner.rstrip(_PUNCTUATION)),
            )
        )
    return found


def _alike(words: Sequence[Sequence[str]], most: int) -> int:
    """How many words, at most `most`, all texts begin with."""
    count = 0
    while count < most and len({held[count] for held in words}) == 1:
        count += 1
    return count


def pronoun_of(sentence: str, other: str) -> str:
    """The first word of a sentence that its twin has differently, as it stands there."""
    start, stop = differing([sentence, other])[0]
    first = _WORD.search(sentence, start, max(start, stop))
    return first.group().strip(_PUNCTUATION) if first else ""


def resolutions(choices: Sequence[str]) -> list[tuple[str, str]]:
    """(what the model reads, what it may go on with) of a WinoBias row, in the order of its scores."""
    pro, anti, meant, other = choices
    found = []
    for sentence, twin in ((pro, anti), (anti, pro)):
        read = f'{sentence} "{pronoun_of(sentence, twin)}" refers to'
        found += [(read, f" {meant}"), (read, f" {other}")]
    return found
