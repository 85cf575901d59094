"""How much of one text is in another: exact match and F1 as SQuAD has them, ROUGE-L, repetition."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = set(string.punctuation)


def normalised(text: str) -> str:
    """Lower case without punctuation, articles and extra white space (Rajpurkar et al. 2016, their script)."""
    kept = "".join(c for c in text.lower() if c not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", kept).split())


def exact(answer: str, references: Sequence[str]) -> float:
    """1 where the answer equals a reference once both are normalised."""
    said = normalised(answer)
    return float(any(said == normalised(reference) for reference in references))


def token_f1(answer: str, references: Sequence[str]) -> float:
    """Harmonic mean of the shares of words in common, of the best reference. No words on one side: 1 if on both."""
    said = normalised(answer).split()
    return max(_f1(said, normalised(reference).split()) for reference in references)


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    if not said or not wanted:
        return float(list(said) == list(wanted))
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted))


def rouge_words(text: str, stem: bool = False) -> list[str]:
    """The words that ROUGE compares: runs of a–z and 0–9, in lower case, stemmed where asked."""
    from rouge_score.tokenizers import DefaultTokenizer

    return list(DefaultTokenizer(stem).tokenize(text))


def rouge_l(said: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """F measure of the longest common subsequence of words, of the best reference (Lin 2004)."""
    best = 0.0
    for wanted in references:
        common = common_subsequence(said, wanted)
        if common:
            precision, recall = common / len(said), common / len(wanted)
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


def common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, a whole row of its table at a time in one integer.

    Hyyrö 2004, "Bit-parallel LCS-length computation revisited".
    """
    if not a or not b:
        return 0
    places: dict[str, int] = {}
    for i, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        match = row & places.get(word, 0)
        row = ((row + match) | (row - match)) & full
    return len(a) - row.bit_count()


def repetition(text: str, n: int = 4) -> float:
    """Share of runs of n words that the text has had before (seq-rep-n, Welleck et al. 2020)."""
    words = text.split()
    runs = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
