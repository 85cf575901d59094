"""What an answer says that its passage does not, and how far several answers to one question agree."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from evaluations.quality.text_overlap import normalised, token_f1

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"\w+", re.UNICODE)
_NAME = re.compile(r"\w[\w'’-]+", re.UNICODE)
_HAN = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_HAN_MARKS = re.compile("[\u3000-\u303f\uff01-\uff0f\uff1a-\uff1f]")  # 。，「」！？
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")


def knowledge_precision(answer: str, passage: str) -> float | None:
    """Share of the answer's words that are in the passage, each as often as it is there; None for no words.

    Both normalised as SQuAD does (K-Precision, Adlakha et al. 2023, arXiv 2307.16877); where words are not set
    apart, as in Chinese, each character is one.
    """
    said = Counter(_units(answer))
    if not said:
        return None
    return (said & Counter(_units(passage))).total() / said.total()


def _units(text: str) -> list[str]:
    return _HAN.sub(r" \g<0> ", normalised(_HAN_MARKS.sub(" ", text))).split()


def unsupported_numbers(answer: str, sources: Sequence[str]) -> list[str]:
    """Numbers written in digits that no source has, in whatever notation: 1,000 is 1000 and 3.50 is 3.5."""
    known = {value for source in sources for text in _NUMBER.findall(source) for value in _values(text)}
    return [text for text in _NUMBER.findall(answer) if not _values(text) & known]


def _values(text: str) -> set[Decimal]:
    """What the digits may stand for: separators as thousands, and the last one as a decimal point."""
    whole = re.sub(r"[.,]", "", text)
    found = {Decimal(whole)}
    head, separator, tail = text.replace(",", ".").rpartition(".")
    if separator:
        if len(tail) != 3:  # 3.50 is no thousands
            found.clear()
        found.add(Decimal(f"{head.replace('.', '')}.{tail}"))
    return found


def unsupported_names(answer: str, sources: Sequence[str]) -> list[str]:
    """Words with a capital, other than at the start of a sentence, that no source has in any case."""
    known = {word.casefold() for source in sources for word in _NAME.findall(source)}
    found = []
    for sentence in sentences(answer):
        words = _NAME.findall(sentence)
        opening = _WORD.search(sentence)
        starts = bool(words) and opening is not None and words[0].startswith(opening[0])
        found += [w for w in words[1 if starts else 0 :] if w[0].isupper() and w.casefold() not in known]
    return found


def has_case(text: str) -> bool:
    """Whether it is written in letters that come as capitals too."""
    return text.upper() != text.lower()


def sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE.split(text) if part.strip()]


# --- several answers to one question --------------------------------------------------------------


def agreement(answers: Sequence[str]) -> float:
    """Mean word F1 over all pairs of at least two answers."""
    pairs = list(itertools.combinations(answers, 2))
    return sum(token_f1(a, [b]) for a, b in pairs) / len(pairs)


def unigram_surprise(answer: str, drawn: Sequence[str]) -> float | None:
    """Mean over the answer's sentences of the largest −ln p(word), p from the answer and what was drawn.

    SelfCheckGPT's unigram (max), Manakul et al. 2023, arXiv 2303.08896, §5.3. None for no words.
    """
    counts = Counter(word for text in (answer, *drawn) for word in _words(text))
    every = counts.total()
    rarest = [min(counts[word] for word in words) for s in sentences(answer) if (words := _words(s))]
    return sum(math.log(every / count) for count in rarest) / len(rarest) if rarest else None


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
