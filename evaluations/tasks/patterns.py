"""Regular expressions of a task over texts of a model: neither is ours, so each has a second and no more."""

from __future__ import annotations

from typing import Any

import regex

from evaluations.spec import EvaluationError

SECONDS = 1.0  # for one text


def found(pattern: str, text: str) -> list[Any]:
    """As re.findall."""
    try:
        return list(regex.findall(pattern, text, timeout=SECONDS))
    except TimeoutError as error:
        raise _too_slow(pattern) from error


def replaced(pattern: str, by: str, text: str, count: int = 0) -> str:
    """As re.sub."""
    try:
        return str(regex.sub(pattern, by, text, count=count, timeout=SECONDS))
    except TimeoutError as error:
        raise _too_slow(pattern) from error


def _too_slow(pattern: str) -> EvaluationError:
    return EvaluationError(
        "pattern_slow",
        f"The pattern {pattern[:60]!r} takes more than a second on one text. Write it without nested repetition.",
    )
