"""Fixed rules that pass or fail an answer without asking a model. Light."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from evaluations.spec import Frozen

_NUMBER = re.compile(r"[-+−]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Contains(Frozen):
    """Passes an answer with one of the phrases, or with an accepted answer where no phrase is given."""

    kind: Literal["contains"] = "contains"
    phrases: tuple[str, ...] = Field(default=(), max_length=1000)


class Matches(Frozen):
    """Passes an answer in which the regular expression finds something."""

    kind: Literal["matches"] = "matches"
    pattern: str = Field(min_length=1, max_length=1000)

    @field_validator("pattern")
    @classmethod
    def compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"The pattern is no regular expression: {error}.") from error
        return pattern


class Number(Frozen):
    """Passes an answer whose last number lies within a tolerance of an accepted one."""

    kind: Literal["number"] = "number"
    tolerance: float = Field(default=1e-6, ge=0)


class Json(Frozen):
    """Passes an answer that is one JSON object with these keys."""

    kind: Literal["json"] = "json"
    keys: tuple[str, ...] = Field(default=(), max_length=100)


Rubric = Annotated[Contains | Matches | Number | Json, Field(discriminator="kind")]


def needs_references(rubric: Rubric) -> bool:
    return isinstance(rubric, Number) or (isinstance(rubric, Contains) and not rubric.phrases)


def passes(rubric: Rubric, answer: str, references: Sequence[str]) -> bool:
    """The verdict of a rule on one answer."""
    if isinstance(rubric, Contains):
        said = answer.casefold()
        return any(phrase.casefold() in said for phrase in rubric.phrases or references)
    if isinstance(rubric, Matches):
        from evaluations.generating import searcher

        return bool(searcher(rubric.pattern)(answer))
    if isinstance(rubric, Number):
        said_number = _last_number(answer)
        wanted = [_last_number(reference) for reference in references]
        return said_number is not None and any(
            w is not None and abs(said_number - w) <= rubric.tolerance for w in wanted
        )
    return _is_object(answer, rubric.keys)


def _last_number(text: str) -> float | None:
    found = _NUMBER.findall(text)
    if not found:
        return None
    value = float(found[-1].replace(",", "").replace("−", "-"))
    return value if math.isfinite(value) else None


def _is_object(text: str, keys: Sequence[str]) -> bool:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and all(key in found for key in keys)
