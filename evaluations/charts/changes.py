"""Differences with their intervals, about a line at nought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered, limit_of
from evaluations.spec import Chart, Metric


def changes(
    name: str,
    title: str,
    found: Sequence[tuple[str, Metric]],
    limit: str | None = None,
    number: str = ".1%",
) -> list[Chart]:
    """One difference per row with its interval. What has no number appears in the table only.

    `limit` names the metric whose limit is drawn; `number` is the format of the values.
    """
    shown = [(label, m.value, m.interval) for label, m in found if m.value is not None and m.interval]
    if not shown:
        return []
    values = [
        {"what": label, "change": round(value, 6), "low": round(i.low, 6), "high": round(i.high, 6)}
        for label, value, i in shown
    ]
    y = {"field": "what", "type": "nominal", "title": None, "sort": None}
    x = {
        "field": "change",
        "type": "quantitative",
        "title": title,
        "axis": {"format": f"+{number}", "labelOverlap": "greedy", "tickCount": 5},
    }
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": [{"zero": 0}]},
            "mark": {"type": "rule", "color": INK, "strokeDash": [4, 4], "opacity": 0.5},
            "encoding": {"x": {"field": "zero", "type": "quantitative"}},
        },
        {
            "mark": {"type": "rule", "color": ACCENT, "strokeWidth": 2},
            "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1, "color": ACCENT},
            "encoding": {"y": y, "x": x},
        },
    ]
    low, high = min(shown, key=lambda s: s[1]), max(shown, key=lambda s: s[1])
    alt = f"{title}: {low[1]:+{number}} for {low[0]}"
    alt += f", the least, to {high[1]:+{number}} for {high[0]}, the most" if len(shown) > 1 else ""
    alt += "; each with its interval."
    rows = tuple(
        (label, m.n, m.value, m.interval.low if m.interval else None, m.interval.high if m.interval else None)
        for label, m in found
    )
    return [
        Chart(
            name=name,
            title=title,
            alt=alt,
            spec=layered(layers, values, height={"step": 28}, **(limit_of(limit, "x") if limit else {})),
            columns=("What", "n", "Change", "Low", "High"),
            rows=rows,
        )
    ]
