"""Bars of plain amounts, one per part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, layered
from evaluations.spec import Chart


def amount_bars(name: str, title: str, parts: Sequence[tuple[str, int, float]]) -> list[Chart]:
    """One bar per part, in the order given; each part has its name, its n and its amount."""
    if not parts:
        return []
    values = [{"part": part, "amount": float(f"{amount:.6g}")} for part, _, amount in parts]
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "bar", "color": ACCENT, "height": 14},
            "encoding": {
                "y": {"field": "part", "type": "nominal", "title": None, "sort": None},
                "x": {"field": "amount", "type": "quantitative", "title": title},
            },
        }
    ]
    low, high = min(parts, key=lambda p: p[2]), max(parts, key=lambda p: p[2])
    alt = f"{title}: {len(parts)} parts, from {low[2]:.3g} ({low[0]}) to {high[2]:.3g} ({high[0]})."
    return [
        Chart(
            name=name,
            title=title,
            alt=alt,
            spec=layered(layers, values, height={"step": 24}),
            columns=("Part", "n", "Amount"),
            rows=tuple(parts),
        )
    ]
