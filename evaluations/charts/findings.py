"""Shares without intervals: what was counted over a whole data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, layered
from evaluations.spec import Chart


def shares(name: str, title: str, found: Sequence[tuple[str, float]]) -> list[Chart]:
    """One bar per finding."""
    if not found:
        return []
    values = [{"what": what, "share": round(share, 4)} for what, share in found]
    top = max(share for _, share in found)
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "bar", "color": ACCENT, "height": 14},
            "encoding": {
                "y": {"field": "what", "type": "nominal", "title": None, "sort": None},
                "x": {
                    "field": "share",
                    "type": "quantitative",
                    "title": title,
                    "scale": {"domain": [0, max(0.01, top)]},
                    "axis": {"format": ".1%"},
                },
            },
        }
    ]
    largest = max(found, key=lambda f: f[1])
    alt = f"{title}: {largest[0].lower()} {largest[1]:.1%} is the largest of {len(found)} findings."
    return [
        Chart(
            name=name,
            title=title,
            alt=alt,
            spec=layered(layers, values, height={"step": 28}),
            columns=("Finding", "Share"),
            rows=tuple(found),
        )
    ]
