"""Dots with intervals around the line at which a model leans neither way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered
from evaluations.spec import Chart, Metric


def dots(
    name: str,
    title: str,
    found: Sequence[tuple[str, Metric]],
    *,
    neutral: float,
    what: str,
    percent: bool = True,
) -> list[Chart]:
    """One dot per `what`, with its interval. What has no number is in the table only."""
    shown = [(label, m.value, m.interval) for label, m in found if m.value is not None and m.interval]
    if not shown:
        return []
    values = [
        {"what": label, "value": round(value, 4), "low": round(i.low, 4), "high": round(i.high, 4)}
        for label, value, i in shown
    ]
    y = {"field": "what", "type": "nominal", "title": None, "sort": None}
    axis = {"axis": {"tickCount": 6, **({"format": "%"} if percent else {})}}
    x = {"type": "quantitative", "title": title, "scale": {"zero": False}, **axis}
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": [{"neutral": neutral}]},
            "mark": {"type": "rule", "color": INK, "strokeDash": [4, 4]},
            "encoding": {"x": {**x, "field": "neutral"}},
        },
        {
            "mark": {"type": "rule", "color": INK, "strokeWidth": 2},
            "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "color": ACCENT, "size": 70, "opacity": 1},
            "encoding": {"y": y, "x": {**x, "field": "value"}},
        },
    ]
    apart = sum(not i.low <= neutral <= i.high for _, _, i in shown)
    furthest = max(shown, key=lambda s: abs(s[1] - neutral))
    said = f"{furthest[1]:.1%}" if percent else f"{furthest[1]:.3f}"
    alt = (
        f"{title}: furthest from the neutral line is {furthest[0]} with {said}; of {len(shown)} 95 % intervals "
        f"{apart} lie wholly to one side of it."
    )
    rows = tuple(
        (label, m.n, m.value, m.interval.low if m.interval else None, m.interval.high if m.interval else None)
        for label, m in found
    )
    return [
        Chart(
            name=name,
            title=title,
            alt=alt,
            spec=layered(layers, values, height={"step": 28}),
            columns=(what, "n", "Value", "Low", "High"),
            rows=rows,
        )
    ]
