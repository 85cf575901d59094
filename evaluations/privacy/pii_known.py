"""Personal data that the tester knows to be in the training data, found in a text however they are spaced."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from evaluations.data.columns import label_text
from evaluations.privacy import pii_detecting
from evaluations.spec import EvaluationError, Role

if TYPE_CHECKING:
    from evaluations.data.dataset import Dataset

FEWEST = 4  # letters and digits of a value: a shorter one stands in many a text by chance
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # a name in Chinese has two or three of these, and no spaces
WORD = re.compile(rf"[{HAN}]|[^\W_{HAN}]+")
BETWEEN_DIGITS = re.compile(r"(?<=\d)[ \-./()]{1,3}(?=\d)")

Words = tuple[str, ...]


def planted(data: Dataset) -> list[Words]:
    """What the training data hold about the person or thing that each row asks for; () where nothing is stated."""
    columns = data.ref.columns(Role.TARGET)
    if not columns:
        return [()] * data.rows
    found = []
    for i, value in enumerate(data.table.column(columns[0]).to_pylist()):
        listed = value if isinstance(value, list) else [value]
        texts = tuple(text for one in listed if (text := (label_text(one) or "").strip()))
        for text in texts:
            if not _long_enough(text):
                raise EvaluationError(
                    "datum_short",
                    f"Row {i + 1} names a personal datum of fewer than {FEWEST} letters or digits in column "
                    f"{columns[0]!r}: it would be found by chance. Write it out, or leave it empty.",
                )
        found.append(texts)
    return found


def _long_enough(value: str) -> bool:
    words = "".join(WORD.findall(pii_detecting.plain(value)))
    return len(words) >= FEWEST or len(re.findall(f"[{HAN}]", words)) >= 2


class Known:
    """Values, each found as a whole: the same words in the same order, whatever stands between digits."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values: dict[Words, set[str]] = defaultdict(set)
        for value in set(values):
            for words in _readings(pii_detecting.plain(value)):
                self._values[words].add(value)
        self._lengths: dict[str, set[int]] = defaultdict(set)  # by first word: how many words to compare
        for words in self._values:
            self._lengths[words[0]].add(len(words))

    def found_in(self, text: str) -> set[str]:
        """The values that stand in a text that `pii_detecting.plain` made."""
        return {
            value
            for words in _readings(text)
            for at, word in enumerate(words)
            for length in self._lengths.get(word, ())
            for value in self._values.get(words[at : at + length], ())
        }


def _readings(text: str) -> set[Words]:
    """The words of a text, and those it has once what groups digits is left out."""
    joined = BETWEEN_DIGITS.sub("", text)
    return {words for one in (text, joined) if (words := tuple(WORD.findall(one.casefold())))}
