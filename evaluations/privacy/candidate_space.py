"""The secrets that a canary's could have been: read off its own pattern, or from a list of words."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator

# Letters of one script and case, each as likely as the other in a secret that was drawn at random.
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "αβγδεζηθικλμνξοπρστυφχψω",
    "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ",
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ",
    "אבגדהוזחטיכלמנסעפצקרשת",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
)
_ALPHABET_OF = {letter: tuple(alphabet) for alphabet in ALPHABETS for letter in alphabet}
_BETWEEN_WORDS = re.compile(r"([\s\-_./,;:]+)")
STAYING = "PZ"  # Unicode's punctuation and separators
LONGEST = 1000  # characters of a secret
AT_ONCE = 1000  # strings drawn: a long secret takes memory for each of its letters


@dataclass(frozen=True)
class Space:
    """All strings that take one of the choices in each slot. A slot of one choice stays as it is."""

    secret: str
    slots: tuple[tuple[str, ...], ...]

    @cached_property
    def size(self) -> int:
        """|R|, the secret included."""
        return math.prod(len(slot) for slot in self.slots)

    @property
    def bits(self) -> float:
        return math.log2(self.size)

    def draw(self, count: int, rng: Generator) -> list[str]:
        """`count` independent draws, uniform over the space without the secret; it must hold another string."""
        found: list[str] = []
        arrays = {slot: np.array(slot, dtype=object) for slot in set(self.slots)}
        slots = [arrays[slot] for slot in self.slots]
        while len(found) < count:
            drawn = [
                itertools.repeat(slot[0], AT_ONCE)
                if len(slot) == 1
                else slot[rng.integers(len(slot), size=AT_ONCE)]
                for slot in slots
            ]
            made = ["".join(parts) for parts in zip(*drawn, strict=True)]
            found += [text for text in made if text != self.secret]
        return found[:count]


def space_of(secret: str, words: Sequence[str] | None) -> Space | str:
    """The space that `secret` was drawn from, or why it cannot be told.

    With `words` each word of the secret may be any of them; without, each digit any digit of its script and each
    letter any letter of its alphabet, while all else stays.
    """
    if not secret.strip():
        return "it has no secret"
    if len(secret) > LONGEST:
        return f"its secret is longer than {LONGEST} characters"
    return _of_pattern(secret) if words is None else _of_words(secret, words)


def _of_pattern(secret: str) -> Space | str:
    slots = []
    for letter in secret:
        if letter.isdecimal():
            zero = ord(letter) - int(letter)
            slots.append(tuple(chr(zero + digit) for digit in range(10)))
        elif letter in _ALPHABET_OF:
            slots.append(_ALPHABET_OF[letter])
        elif letter.isascii() or unicodedata.category(letter)[0] in STAYING:
            slots.append((letter,))
        else:
            return f"its secret holds {letter!r}, which belongs to no alphabet known here; list the words it may hold"
    return Space(secret, tuple(slots))


def _of_words(secret: str, words: Sequence[str]) -> Space | str:
    listed: tuple[str, ...] = tuple(sorted({word for word in words if word}))
    if secret in listed:
        return Space(secret, (listed,))
    slots: list[tuple[str, ...]] = []
    place = 0
    for part in _BETWEEN_WORDS.split(secret):
        place += bool(part and not _BETWEEN_WORDS.fullmatch(part))
        if not part or _BETWEEN_WORDS.fullmatch(part):
            slots.append((part,))
        elif part in listed:
            slots.append(listed)
        else:
            return f"word {place} of its secret is not among its listed words"
    return Space(secret, tuple(slots))
