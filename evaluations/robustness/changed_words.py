"""Which words of two texts differ."""

from __future__ import annotations

import difflib


def changed_words(before: str, after: str) -> list[tuple[int, int]]:
    """Pairs (index before, index after) of words, split at white space, that differ."""
    old, new = before.split(), after.split()
    pairs: list[tuple[int, int]] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            pairs += [
                (min(a + k, max(a, b - 1)), min(c + k, max(c, d - 1))) for k in range(max(b - a, d - c))
            ]
    return pairs
