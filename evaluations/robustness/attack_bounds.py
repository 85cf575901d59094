"""What a recipe can have made of a text, as far as the two texts tell: merge holds records against it.

Looser than the recipes, which see more than the texts. It keeps what no attack made out of the suites of attacks, and
bounds the work of comparing texts.
"""

from __future__ import annotations

from collections.abc import Callable

from Levenshtein import distance

from evaluations.robustness.attack_limits import MISSPELT_LETTERS, REDUCTION

DEEPWORDBUG_LETTERS = 30  # edits in all, as published
LONGEST_WORD = 50  # letters that one substitute adds


def possible(recipe: str, old: str, new: str) -> bool:
    """Whether this recipe can have made `new` of `old`. A text that is as it was is no attack."""
    return new != old and LIMITS[recipe](old, new)


def _edits(most: int) -> Callable[[str, str], bool]:
    return lambda old, new: distance(old, new, score_cutoff=most) <= most


def _words_replaced(old: str, new: str) -> bool:
    """Word for word."""
    before, after = old.split(), new.split()
    return len(before) == len(after) and all(
        len(now) <= len(was) + LONGEST_WORD * _words_at_most(was)
        for was, now in zip(before, after, strict=True)
    )


def _words_torn(old: str, new: str) -> bool:
    """A word may become two, or another one."""
    most = _words_at_most(old)
    return len(new.split()) <= len(old.split()) + most and len(new) <= len(old) + LONGEST_WORD * most


def _words_left_out(old: str, new: str) -> bool:
    """The letters that are left stand in their old order."""
    letters = iter(old)
    return len(new) < len(old) and all(letter in letters for letter in new)


def _words_at_most(text: str) -> int:
    """Of TextAttack, which splits Chinese characters and never at less than a letter."""
    return sum(not c.isspace() for c in text)


LIMITS: dict[str, Callable[[str, str], bool]] = {
    "deepwordbug": _edits(DEEPWORDBUG_LETTERS),
    "pruthi": _edits(MISSPELT_LETTERS),
    "textbugger_variant": _words_torn,
    "pwws": _words_replaced,
    "textfooler_variant": _words_replaced,
    REDUCTION: _words_left_out,
}
