"""Share of rows whose answer was turned, by what the change cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered
from evaluations.spec import Chart


def success_by_cost(curve: Sequence[tuple[float, float, float, float]], budget: float) -> list[Chart]:
    """`curve` are (cost, share turned within it, low, high), ascending; the largest cost allowed is marked."""
    if not curve:
        return []
    values = [
        {"cost": round(cost, 4), "share": round(share, 4), "low": round(low, 4), "high": round(high, 4)}
        for cost, share, low, high in curve
    ]
    x = {"field": "cost", "type": "quantitative", "title": "Cost of the change"}
    scale = {"domain": [0, 1]}
    y = {"type": "quantitative", "title": "Answers turned", "scale": scale, "axis": {"format": "%"}}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "area", "color": ACCENT, "opacity": 0.2, "interpolate": "step-after"},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "line", "color": ACCENT, "interpolate": "step-after"},
            "encoding": {"x": x, "y": {**y, "field": "share"}},
        },
        {
            "data": {"values": [{"budget": budget}]},
            "mark": {"type": "rule", "color": INK, "strokeDash": [4, 4], "opacity": 0.5},
            "encoding": {"x": {"field": "budget", "type": "quantitative"}},
        },
    ]
    within = [share for cost, share, *_ in curve if cost <= budget]
    alt = (
        f"Answers turned against the cost of the change: {within[-1] if within else 0:.1%} within a cost of {budget:g}"
        f", {curve[-1][1]:.1%} at any cost found (up to {curve[-1][0]:.3g})."
    )
    return [
        Chart(
            name="success_by_cost",
            title="Answers turned by the cost of the change",
            alt=alt,
            spec=layered(layers, values, height=240),
            columns=("Cost", "Turned", "Low", "High"),
            rows=tuple(curve),
        )
    ]
