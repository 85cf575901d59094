"""The filter multi_choice_regex: which choice a free text answers with, as lm-evaluation-harness 0.4.13 finds it.

First the task's pattern; then a choice that is written out, longest first; then a letter behind a colon.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from evaluations.spec import EvaluationError
from evaluations.tasks import patterns


@functools.cache
def punctuation() -> dict[int, None]:
    """Every character that Unicode calls punctuation, to be left out."""
    return dict.fromkeys(c for c in range(sys.maxunicode) if unicodedata.category(chr(c)).startswith("P"))


def letters_of(
    texts: Sequence[str],
    doc: Mapping[str, Any],
    *,
    regex_pattern: str,
    group_select: int,
    fallback: str,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    regexes_to_ignore: Sequence[str] = (),
) -> list[str]:
    """`(A)`, `(B)`, … per text, or whatever the task's pattern finds, or the fallback."""
    choices = doc.get("choices")
    if not isinstance(choices, list | tuple) or not choices:
        raise EvaluationError(
            "choices_missing",
            "The filter multi_choice_regex reads the choices of a row from a column named 'choices'. Give the data set "
            "one, with a role.",
        )

    def bare(text: str) -> str:
        for pattern in regexes_to_ignore:
            text = patterns.replaced(pattern, "", text)
        text = text.lower() if ignore_case else text
        return text.translate(punctuation()) if ignore_punctuation else text

    written = {bare(str(choice).strip()): f"({_letter(i)})" for i, choice in enumerate(choices)}
    alone = {_letter(i): f"({_letter(i)})" for i in range(len(choices))}
    spelled = "|".join(sorted((re.escape(text) for text in written), key=len, reverse=True))
    lettered = rf":[\s]*({'|'.join(alone)})"

    def answered(text: str) -> str:
        return (
            _chosen(patterns.found(regex_pattern, text), group_select, {})
            or _chosen(patterns.found(spelled, bare(text)), group_select, written)
            or _chosen(patterns.found(lettered, text), group_select, alone)
            or fallback
        )

    return [answered(text) for text in texts]


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _chosen(found: list[Any], group_select: int, meaning: Mapping[str, str]) -> str:
    """One match, as the letter it stands for; "" where there is none."""
    if not -len(found) <= group_select < len(found):
        return ""
    match = found[group_select]
    if isinstance(match, tuple):
        match = next((group for group in match if group), "")
    match = str(match).strip()
    return meaning.get(match, match)
