"""How a row becomes a prompt and a text becomes an answer: parameters that evaluations of generation share. Light."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from evaluations.spec import GenerationSettings, ScoredParams

_PLACE = re.compile(r"\{(input|context)\}")


class PromptParams(ScoredParams):
    """Parameters of an evaluation that lets the model write."""

    prompt: str = Field(
        default="",
        max_length=20_000,
        title="Prompt",
        description="{input} and {context} stand for the row's input and passage. Empty: the passage, if the data "
        "has one, an empty line, the input. Models that find answers in a passage are not prompted.",
    )
    settings: GenerationSettings = Field(default=GenerationSettings(), title="Generation")
    answer_pattern: str = Field(
        default="",
        max_length=1000,
        title="Answer within the text",
        description="A regular expression: the answer is its first group, or all of it. Empty: the whole text.",
    )
    answer_take: Literal["first", "last"] = Field(default="first", title="Which match is the answer")

    @field_validator("answer_pattern")
    @classmethod
    def compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"The answer pattern is no regular expression: {error}.") from error
        return pattern


def prompt_of(template: str, text: str, context: str | None) -> str:
    """The prompt of one row. What is filled in is not searched for places again."""
    if not template:
        return text if context is None else f"{context}\n\n{text}"
    given = {"input": text, "context": context or ""}
    return _PLACE.sub(lambda place: given[place[1]], template)
