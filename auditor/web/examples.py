"""Examples of a run, with the words that an attack changed marked. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from evaluations.spec import Example


@dataclass(frozen=True)
class Word:
    text: str
    changed: bool


@dataclass(frozen=True)
class Shown:
    """An example split into words, before and after."""

    id: str
    kind: str
    before: list[Word]
    after: list[Word]
    facts: dict[str, str | float | int]


def show(example: Example) -> Shown:
    """Words are what lies between white space, as `Example.changed` counts them."""
    before = {pair[0] for pair in example.changed}
    after = {pair[1] for pair in example.changed}
    return Shown(
        example.id,
        example.kind,
        _words(example.before, before),
        _words(example.after, after),
        dict(example.facts),
    )


def _words(text: str, changed: set[int]) -> list[Word]:
    return [Word(word, index in changed) for index, word in enumerate(text.split())]
