"""Examples of a run: texts with the changed words marked, attributions, pictures, transcripts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.reports import heats, pictures
from auditor.reports.pictures import Png
from auditor.web import transcripts
from evaluations.spec import Example


@dataclass(frozen=True)
class Word:
    text: str
    changed: bool


@dataclass(frozen=True)
class ShownPicture:
    """A picture with its words; `png` is None where it is none that may be shown."""

    title: str
    alt: str
    png: Png | None


@dataclass(frozen=True)
class Shown:
    """An example made ready for the page, its texts split into words."""

    id: str
    kind: str
    before: list[Word]
    after: list[Word]
    facts: dict[str, str | float | int]
    heats: list[heats.Map]
    pictures: list[ShownPicture]
    turns: list[transcripts.Said]


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
        heats.maps([heat.model_dump() for heat in example.heat]),
        [ShownPicture(one.title, one.alt, pictures.plain_png(one.png)) for one in example.pictures],
        transcripts.said(example.turns, [str(example.facts.get("phrase", ""))]),
    )


def _words(text: str, changed: set[int]) -> list[Word]:
    return [Word(word, index in changed) for index, word in enumerate(text.split())]
