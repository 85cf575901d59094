"""Shares by place in a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered
from evaluations.spec import Chart
from evaluations.stats import wilson


def by_place(name: str, title: str, places: Sequence[tuple[int, float, int]]) -> list[Chart]:
    """`places` are (place, share of relevant items there, lists that long), with Wilson intervals."""
    if not places:
        return []
    values = []
    for place, share, n in places:
        interval = wilson(share * n, n)
        values.append(
            {
                "place": place,
                "share": round(share, 4),
                "low": round(interval.low, 4),
                "high": round(interval.high, 4),
                "n": n,
            }
        )
    x = {"field": "place", "type": "ordinal", "title": "Place in the list", "axis": {"labelAngle": 0}}
    y = {"type": "quantitative", "title": "Relevant", "scale": {"domain": [0, 1]}, "axis": {"format": "%"}}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "bar", "color": ACCENT, "size": 14},
            "encoding": {"x": x, "y": {**y, "field": "share"}},
        },
        {
            "mark": {"type": "rule", "color": INK, "strokeWidth": 2},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
    ]
    alt = (
        f"{title}: {values[0]['share']:.1%} of the items in first place are relevant, {values[-1]['share']:.1%} in "
        f"place {values[-1]['place']}, each with its 95 % interval."
    )
    return [
        Chart(
            name=name,
            title=title,
            alt=alt,
            spec=layered(layers, values, height=240),
            columns=("Place", "Relevant", "Low", "High", "n"),
            rows=tuple((v["place"], v["share"], v["low"], v["high"], v["n"]) for v in values),
        )
    ]
