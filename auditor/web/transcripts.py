"""Transcripts made ready for a page: what was found is marked, what is unseen shown, long messages folded. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Literal
from unicodedata import category

from evaluations.spec import Turn

SHOWN, SHOWN_LINES = 1_200, 16  # characters and lines of a message before its fold
MOST_CHIPS = 200  # places of a message with an element of their own; the rest are written into the plain text
NAMED = 4  # code points of one run that are named one by one
DOT = "·"  # stands for one character without width
_MARKED = re.compile(r"⟦[^⟦⟧]{1,2000}⟧")  # as safety.injection marks its codewords
_WIDTHLESS = frozenset("\u00ad\u034f\u200b\u200c\u200d\u2060\ufeff")
_BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")  # letters, but empty
_TAGS = range(0xE0000, 0xE0080)  # each stands for a character of ASCII, and none is drawn
_SELECTORS = frozenset((*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
_EAST = re.compile("[\u2e80-\ua4cf\uac00-\ud7af]")

Kind = Literal["text", "mark", "unseen"]


@dataclass(frozen=True)
class Part:
    """A run of a message: plain, marked as found, or characters that no page would show."""

    kind: Kind
    text: str
    name: str = ""  # of what is unseen: its code points


@dataclass(frozen=True)
class Said:
    """One message. What is folded away follows what is shown, and nothing is left out."""

    speaker: str
    shown: list[Part]
    folded: list[Part]
    more: int  # characters folded away

    @property
    def found_below(self) -> bool:
        """Whether something marked stands in the fold."""
        return any(part.kind == "mark" for part in self.folded)

    @property
    def unseen(self) -> bool:
        """Whether it holds characters that a page would not show."""
        return any(part.kind == "unseen" for part in (*self.shown, *self.folded))


def said(turns: Sequence[Turn], phrases: Iterable[str] = ()) -> list[Said]:
    """Messages in order; `phrases` are marked where the model wrote them."""
    own = [phrase for phrase in phrases if phrase.strip()]
    return [_said(turn, own if turn.speaker == "assistant" else []) for turn in turns]


def unhidden(text: str) -> str:
    """A short text, such as a path, with what the eye would not see written out."""
    return "".join(part.text for part in _seen(str(text)))


def _said(turn: Turn, phrases: list[str]) -> Said:
    text = re.sub(r"\r\n|[\u2028\u2029\x85]", "\n", turn.text).strip("\n")
    shown, folded = _fold(list(_parts(text, phrases)))
    return Said(turn.speaker, shown, folded, sum(len(part.text) for part in folded))


def _parts(text: str, phrases: list[str]) -> Iterator[Part]:
    """What is plain in one piece, so that a hostile text makes no more elements than MOST_CHIPS asks for."""
    plain: list[str] = []
    chips = 0
    for part in _pieces(text, phrases):
        chips += part.kind != "text"
        if part.kind == "text" or chips > MOST_CHIPS:
            plain.append(part.text)
            continue
        if plain:
            yield Part("text", "".join(plain))
            plain = []
        yield part
    if plain:
        yield Part("text", "".join(plain))


def _pieces(text: str, phrases: list[str]) -> Iterator[Part]:
    wanted = re.compile("|".join([_MARKED.pattern, *map(re.escape, phrases)]), re.IGNORECASE)
    at = 0
    for found in wanted.finditer(text):
        yield from _seen(text[at : found.start()])
        yield Part("mark", unhidden(found[0]))
        at = found.end()
    yield from _seen(text[at:])


def _seen(text: str) -> Iterator[Part]:
    for sort, group in groupby(range(len(text)), lambda i: _sort(text, i)):
        run = "".join(text[i] for i in group)
        if sort == "text":
            yield Part("text", run)
        else:
            yield Part("unseen", _written(sort, run), _names(run))


def _sort(text: str, i: int) -> str:
    sort = _alone(text[i])
    if sort == "joiner":
        return "text" if _joins(text, i) else "widthless"
    if sort == "selector":  # whether a sign is drawn as text or as a picture
        return "text" if i and ord(text[i - 1]) not in _SELECTORS else "other"
    return sort


@lru_cache(maxsize=10_000)
def _alone(character: str) -> str:
    """Of which sort a character is, or on what that depends."""
    if character in "\n\t":
        return "text"
    if ord(character) in _TAGS:
        return "tags"
    if character in "\u200c\u200d":
        return "joiner"
    if character in "\ufe0e\ufe0f":
        return "selector"
    if character in _WIDTHLESS:
        return "widthless"
    hidden = character in _BLANK or ord(character) in _SELECTORS
    return "other" if hidden or category(character) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp") else "text"


def _joins(text: str, i: int) -> bool:
    """Whether a joiner does its work: between letters of scripts that join, or signs such as emoji."""
    return all(map(_joinable, (text[i - 1 : i], text[i + 1 : i + 2])))


def _joinable(c: str) -> bool:
    empty = c in _WIDTHLESS or c in _BLANK or (c != "\ufe0f" and c and ord(c) in _SELECTORS)
    return bool(c and not c.isascii() and not empty and not _EAST.match(c) and category(c)[0] in "LMS")


def _written(sort: str, run: str) -> str:
    """What stands on the page in place of characters that would not be seen."""
    if sort == "widthless" and len(run) <= NAMED:
        return DOT * len(run)
    if sort == "tags":
        return f"[{''.join(chr(ord(c) - _TAGS.start) for c in run if 0x20 <= ord(c) - _TAGS.start < 0x7F)}]"
    return f"[{_names(run)}]"


def _names(run: str) -> str:
    """`U+202E`, or of many `U+200B U+200C … × 57`."""
    named = " ".join(f"U+{ord(c):04X}" for c in run[:NAMED])
    return named if len(run) <= NAMED else f"{named} … × {len(run)}"


def _fold(parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """Cut between words within the limits, and before a mark rather than in it."""
    left, lines = SHOWN, SHOWN_LINES
    for place, part in enumerate(parts):
        cut = _end(part.text, left, lines)
        if cut < len(part.text):
            if place and (part.kind != "text" or cut == 0):
                return parts[:place], parts[place:]
            head, tail = (Part(part.kind, text, part.name) for text in (part.text[:cut], part.text[cut:]))
            return [*parts[:place], head], [tail, *parts[place + 1 :]]
        left, lines = left - len(part.text), lines - part.text.count("\n")
    return parts, []


def _end(text: str, characters: int, lines: int) -> int:
    """Where `text` ends within so many characters and lines: at white space, if some is near."""
    end, characters = len(text), max(characters, 0)
    breaks = [m.start() for m in re.finditer("\n", text)]
    if len(breaks) >= lines:
        end = breaks[max(lines, 1) - 1] + 1
    if end <= characters:
        return end
    near = max(text.rfind(space, max(0, characters - 80), characters) for space in " \n")
    return near + 1 if near >= 0 else characters
