"""Attributions of examples made ready to be shown: what speaks for an answer, what against it, how strongly. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEVELS = 4  # of strength, each way
LEAST = 0.04  # of the strongest value: what is weaker has no level
SHOWN_TOKENS = 300
SHOWN_FEATURES = 12
LONGEST_NAME = 80
_CELL = re.compile(
    r"row (\d{1,2}), column (\d{1,2})"
)  # how evaluations name the cells of a grid over an image


@dataclass(frozen=True)
class Token:
    """A piece of text. `glued`: no space before it. `level` is −4 to 4, its sign that of the value."""

    text: str
    glued: bool
    level: int
    value: float


@dataclass(frozen=True)
class Feature:
    """A column, region or token with its value, and the share (−1 to 1) of the strongest one that it has."""

    name: str
    value: float
    share: float


@dataclass(frozen=True)
class Map:
    """One attribution. It has tokens (a text), cells (a grid over an image) or neither; always its features."""

    side: str
    answer: str
    tokens: list[Token]
    cells: list[list[Token]]
    features: list[Feature]  # the strongest ones, strongest first
    more_tokens: int
    more_features: int


def maps(heats: Sequence[Mapping[str, Any]]) -> list[Map]:
    """The attributions of one example, as evaluations.spec.Heat says them, on one scale."""
    scale = max((abs(float(v)) for heat in heats for v in heat["values"]), default=0.0)
    return [_map(heat, scale) for heat in heats]


def _map(heat: Mapping[str, Any], scale: float) -> Map:
    names, values = [str(f)[:LONGEST_NAME] for f in heat["features"]], [float(v) for v in heat["values"]]
    tokens = _tokens(names, values, scale) if heat.get("text", True) else []
    if tokens:  # a piece within a word says so
        names = [f"{'…' if t.glued and i else ''}{t.text}" for i, t in enumerate(tokens)]
    ranked = sorted(zip(names, values, strict=True), key=lambda pair: -abs(pair[1]))
    shown = [Feature(name, value, value / scale if scale else 0.0) for name, value in ranked[:SHOWN_FEATURES]]
    return Map(
        side=str(heat.get("side", "before")),
        answer=str(heat.get("answer", "")),
        tokens=tokens[:SHOWN_TOKENS],
        cells=[] if tokens else _cells(names, values, scale),
        features=shown,
        more_tokens=max(0, len(tokens) - SHOWN_TOKENS),
        more_features=len(names) - len(shown),
    )


def level(value: float, scale: float) -> int:
    """The strength of a value in steps of a quarter of the strongest."""
    share = abs(value) / scale if scale else 0.0
    return 0 if share < LEAST else int(math.copysign(min(LEVELS, math.ceil(share * LEVELS)), value))


def _tokens(names: list[str], values: list[float], scale: float) -> list[Token]:
    """Tokens as they stand in the text: pieces of a word follow each other without a space."""
    spaced = any(name[:1].isspace() for name in names[1:])  # else the tokenizer drops spaces, or marks pieces
    found = []
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        piece = not spaced and i > 0 and name.startswith("##") and len(name) > 2
        glued = piece or (spaced and not name[:1].isspace()) or i == 0
        text = (name[2:] if piece else name).strip() or "␣"
        found.append(Token(text, glued, level(value, scale), value))
    return found


def _cells(names: list[str], values: list[float], scale: float) -> list[list[Token]]:
    """A grid where every feature names its row and column, and none is missing; else nothing."""
    places = [_CELL.fullmatch(name) for name in names]
    if not places or not all(places):
        return []
    at = {(int(p.group(1)), int(p.group(2))): value for p, value in zip(places, values, strict=True) if p}
    rows, columns = max(r for r, _ in at), max(c for _, c in at)
    if len(at) != len(names) or len(at) != rows * columns or min(min(place) for place in at) < 1:
        return []
    return [
        [Token(sign(at[r, c]), False, level(at[r, c], scale), at[r, c]) for c in range(1, columns + 1)]
        for r in range(1, rows + 1)
    ]


def sign(value: float) -> str:
    return "+" if value > 0 else "−" if value < 0 else "0"


def signed(value: float) -> str:
    """`+0.132`, `−0.0004`: a value of an attribution with its sign."""
    size = abs(value)
    return (
        f"{sign(value) if value else ''}{size:.2g}"
        if size and size < 0.001
        else f"{sign(value) if value else ''}{size:.3f}"
    )
