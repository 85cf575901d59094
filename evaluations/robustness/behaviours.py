"""Changes to an English text that should leave a classifier's answer as it is, or may move it one way only.

After CheckList (Ribeiro et al. 2020, arXiv 2005.04118). Each change is None where the text has nothing to change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evaluations.robustness import behaviours_contractions as contractions
from evaluations.robustness import behaviours_words as words

if TYPE_CHECKING:
    from numpy.random import Generator

Change = Callable[[str, "Generator"], str | None]

_LATIN = re.compile(r"[A-Za-z]{2,}")
_LETTERS = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_MISTYPED = re.compile(r"(?<![\w'’@#./-])[A-Za-z]{4,}(?![\w'’@./-])")  # no addresses, no halves of words
_SENTENCE = re.compile(r"[.!?;:\n]")
_TURNED = re.compile(  # what stands before a verb and already turns it round, or makes it a wish
    r"\b(?:not|no|never|none|nothing|nobody|neither|nor|hardly|barely|without|cannot|unlike|if|unless|wish\w*|than|though|\w+n['’]t)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Behaviour:
    """One test. `must` says what the answer has to do, or the probability of the favourable class."""

    name: str
    change: Change
    must: Literal["stay", "not_rise", "not_fall"]


def changed(behaviour: Behaviour, text: str, rng: Generator) -> str | None:
    """The changed text, or None where nothing changes or where there is no English to change."""
    new = behaviour.change(text, rng) if _is_english(text) else None
    return None if new == text else new


def _is_english(text: str) -> bool:
    """Whether it has a word, and at least half of its letters are those of English."""
    letters = _LETTERS.findall(text)
    return bool(_LATIN.search(text)) and 2 * sum(c.isascii() for c in letters) >= len(letters)


# --- typing --------------------------------------------------------------------------------------------


def swapped_letters(text: str, rng: Generator) -> str | None:
    """Two neighbouring letters of one word change places; its first letter stays."""

    def places(word: str) -> list[int]:
        return [i for i in range(1, len(word) - 1) if word[i].lower() != word[i + 1].lower()]

    def swap(word: str, i: int) -> str:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]

    return _mistyped(text, places, swap, rng)


def slipped_key(text: str, rng: Generator) -> str | None:
    """One letter of one word, not its first, becomes that of a key beside it."""

    def places(word: str) -> list[int]:
        return list(range(1, len(word)))

    def slip(word: str, i: int) -> str:
        keys = words.KEYS[word[i].lower()]
        key = keys[int(rng.integers(len(keys)))]
        return word[:i] + (key.upper() if word[i].isupper() else key) + word[i + 1 :]

    return _mistyped(text, places, slip, rng)


def _mistyped(
    text: str, places: Callable[[str], list[int]], wrong: Callable[[str, int], str], rng: Generator
) -> str | None:
    found = [m for m in _MISTYPED.finditer(text) if places(m[0])]
    if not found:
        return None
    word = found[int(rng.integers(len(found)))]
    where = places(word[0])
    return text[: word.start()] + wrong(word[0], where[int(rng.integers(len(where)))]) + text[word.end() :]


# --- how it is written ---------------------------------------------------------------------------------


def title_case(text: str) -> str:
    return _WORD.sub(lambda m: m[0][0].upper() + m[0][1:].lower(), text)


def either_contraction(text: str) -> str:
    """Contractions written out; where there is none, what can be contracted written short."""
    longer = contractions.expanded(text)
    return longer if longer != text else contractions.contracted(text)


def wider_spaces(text: str) -> str:
    return re.sub(" +", lambda m: m[0] * 2, text)


def other_stop(text: str) -> str | None:
    """Without its full stop at the end, or with one where it ends in a letter or digit."""
    bare = text.rstrip()
    if bare.endswith(".") and not bare.endswith(".."):
        return bare[:-1]
    return f"{bare}." if bare[-1:].isalnum() else None


# --- names ---------------------------------------------------------------------------------------------

_NAMED = re.compile(rf"(?<![\w'’-])(?:{'|'.join((*words.WOMEN, *words.MEN))})(?![\w-])")


def other_names(text: str, rng: Generator) -> str | None:
    """Each first name becomes another of the same sex, the same wherever it occurs."""
    found = sorted(set(_NAMED.findall(text)))
    taken, by_name = set(found), {}
    for name in found:
        free = [n for n in (words.WOMEN if name in words.WOMEN else words.MEN) if n not in taken]
        if not free:  # a list of names, not a text about people
            return None
        by_name[name] = free[int(rng.integers(len(free)))]
        taken.add(by_name[name])
    return _NAMED.sub(lambda m: by_name[m[0]], text)


# --- what may move the answer one way only -------------------------------------------------------------


def negated(adjectives: Sequence[str]) -> Change:
    """A change of "is good" into "is not good", wherever nothing before it in its sentence turns it round already."""
    pattern = re.compile(
        rf"\b(is|are|was|were|am|(?:it|he|she|that|this)['’]s|(?:you|we|they)['’]re|I['’]m)"
        rf"( +(?:an? +)?(?:(?:very|really|so|truly|quite) +)?(?:{'|'.join(adjectives)}))\b(?! (?:deal|many)\b)",
        re.IGNORECASE,
    )

    def negate(text: str, rng: Generator) -> str | None:
        parts, done = [], 0
        for match in pattern.finditer(text):
            before = _SENTENCE.split(text[max(0, match.start() - 500) : match.start()])[-1]
            if not _TURNED.search(before):
                shouted = len(match[1]) > 1 and match[1].isupper()
                parts += [text[done : match.end(1)], " NOT" if shouted else " not"]
                done = match.end(1)
        return "".join([*parts, text[done:]]) if parts else None

    return negate


def followed_by(phrases: Sequence[str]) -> Change:
    """A change that adds one of the phrases as a sentence of its own."""

    def follow(text: str, rng: Generator) -> str | None:
        bare = text.rstrip()
        stop = "" if bare.endswith((".", "!", "?", "…", '."', '!"', '?"', ".'", ".”", "!”", "?”")) else "."
        return f"{bare}{stop} {phrases[int(rng.integers(len(phrases)))]}"

    return follow


BEHAVIOURS = {
    b.name: b
    for b in (
        Behaviour("swapped_letters", swapped_letters, "stay"),
        Behaviour("slipped_key", slipped_key, "stay"),
        Behaviour("lower_case", lambda text, rng: text.lower(), "stay"),
        Behaviour("upper_case", lambda text, rng: text.upper(), "stay"),
        Behaviour("title_case", lambda text, rng: title_case(text), "stay"),
        Behaviour("contractions", lambda text, rng: either_contraction(text), "stay"),
        Behaviour("spacing", lambda text, rng: wider_spaces(text), "stay"),
        Behaviour("full_stop", lambda text, rng: other_stop(text), "stay"),
        Behaviour("names", other_names, "stay"),
        Behaviour("negated_praise", negated(words.PRAISING), "not_rise"),
        Behaviour("negated_blame", negated(words.BLAMING), "not_fall"),
        Behaviour("added_praise", followed_by(words.PRAISE), "not_fall"),
        Behaviour("added_blame", followed_by(words.BLAME), "not_rise"),
    )
}
