"""Remembers how TextAttack splits short strings into words, on which it spends most of its own time.

For each candidate it splits every word of the text again. The splitting depends on the string alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from textattack.shared import attacked_text
from textattack.shared.utils import words_from_text

SHORT = 40  # letters: words, not texts
KEPT = 2**15


@functools.lru_cache(KEPT)
def _split(string: str) -> tuple[str, ...]:
    return tuple(words_from_text(string))


def remembering(string: str) -> list[str]:
    """`words_from_text(string)`, a list of its own each time."""
    return list(_split(string)) if len(string) <= SHORT else list(words_from_text(string))


@contextmanager
def words_remembered() -> Iterator[None]:
    """Until it ends, TextAttack's texts split their words with `remembering`."""
    before = attacked_text.words_from_text
    attacked_text.words_from_text = remembering
    try:
        yield
    finally:
        attacked_text.words_from_text = before
