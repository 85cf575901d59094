"""Finds which of the registered labels a written answer means, or none."""

from __future__ import annotations

import bisect
import re
import unicodedata
from collections.abc import Sequence

_AROUND = " \t\r\n\"'`*_.,:;!?()[]{}<>«»“”‘’„"
_DENIED = re.compile(r"\b(not|no|neither|nor|never|cannot|isn't|isn’t|n't|n’t)\b", re.IGNORECASE)


def label_of(answer: str, labels: Sequence[str]) -> int | None:
    """Index of the one label that the answer is, or that alone occurs in it as a whole word.

    None where several or none occur, or where the sentence denies something: such an answer is
    unparsed, and never guessed.
    """
    plain = [_plain(label) for label in labels]
    lines = [_plain(line) for line in answer.splitlines() if _plain(line)]
    for line in lines[:1] + lines[-1:]:
        if plain.count(line) == 1:
            return plain.index(line)
    text = _plain(answer)
    places = {
        i: [m.span() for m in re.finditer(rf"(?<!\w){re.escape(label)}(?!\w)", text)]
        for i, label in enumerate(plain)
        if label
    }
    longest = {  # "very good" is not "good"
        i
        for i, spans in places.items()
        if any(not _inside(span, [other for j, other in places.items() if j != i]) for span in spans)
    }
    if len(longest) != 1:
        return None
    (only,) = longest
    denies = _DENIED.search(re.sub(rf"(?<!\w){re.escape(plain[only])}(?!\w)", " ", text))
    return None if denies else only


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().strip(_AROUND).split())


def _inside(span: tuple[int, int], others: Sequence[Sequence[tuple[int, int]]]) -> bool:
    """Whether it lies in a longer one of the `others`: those of each label ascend and do not overlap."""
    for spans in others:
        at = bisect.bisect_right(spans, span[0], key=lambda other: other[0]) - 1
        if at >= 0 and span[1] <= spans[at][1] and spans[at] != span:
            return True
    return False
