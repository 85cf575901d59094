"""English contractions written out, and what can be contracted written short: only forms that mean one thing."""

from __future__ import annotations

import re

# Left out: 's and 'd, which stand for two words each (is or has, would or had), and ain't.
_NOT = (
    "are could did do does had has have is might must need should was were would".split()  # noqa: SIM905  # words read better so
)
_AFTER = {
    "am": ("I",),
    "are": ("you", "we", "they"),
    "have": ("I", "you", "we", "they"),
    "will": ("I", "you", "he", "she", "it", "we", "they"),
}
_SHORT = {"am": "m", "are": "re", "have": "ve", "will": "ll"}

# long form -> short form, as they stand within a sentence
PAIRS = {
    **{f"{verb} not": f"{verb}n't" for verb in _NOT},
    "cannot": "can't",
    "will not": "won't",
    **{f"{who} {verb}": f"{who}'{_SHORT[verb]}" for verb, people in _AFTER.items() for who in people},
}
_LONG = {short.lower(): long for long, short in PAIRS.items()}

_EDGE = r"(?<![\w'’])"
_SUBJECT = r"(?:I|you|he|she|it|we|they|there|this|that|these|those)"
# "Don't you" is not "do not you": a question keeps its contraction.
_CONTRACTED = re.compile(
    rf"{_EDGE}(?:{'|'.join(re.escape(s).replace(chr(39), '[' + chr(39) + '’]') for s in PAIRS.values())})"
    rf"(?![\w'’])(?!\s+{_SUBJECT}\b)",
    re.IGNORECASE,
)
# "That is who they are" is not "who they're": only before another word.
_WRITTEN_OUT = re.compile(
    rf"{_EDGE}(?:{'|'.join(long.replace(' ', ' +') for long in PAIRS)})(?![\w'’])(?= +\w)", re.IGNORECASE
)


def expanded(text: str) -> str:
    """Every contraction that means one thing, written out."""
    return _CONTRACTED.sub(lambda m: _like(m[0], _LONG[m[0].replace("’", "'").lower()]), text)


def contracted(text: str) -> str:
    """Everything that can be contracted, written short."""
    by_long = {long.lower(): short for long, short in PAIRS.items()}
    return _WRITTEN_OUT.sub(lambda m: _like(m[0], by_long[" ".join(m[0].lower().split())]), text)


def _like(model: str, form: str) -> str:
    """`form` in capitals where `model` is, with its first letter as there."""
    letters = [c for c in model if c.isalpha()]
    if len(letters) > 2 and all(c.isupper() for c in letters):
        return form.upper()
    return model[0] + form[1:] if model[0].lower() == form[0].lower() else form
