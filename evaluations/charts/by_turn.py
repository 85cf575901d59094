"""How much a conversation has brought out after so many messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered, limit_of
from evaluations.spec import Chart, Metric


def success_by_turn(rates: Sequence[tuple[int, Metric]], at_once: Metric, limit: str) -> list[Chart]:
    """Share brought out within t messages, cumulative, with its band; `at_once` is the same asked at once, dashed."""
    shown = [(t, m.value, m.interval) for t, m in rates if m.value is not None and m.interval]
    if not shown:
        return []
    values = [
        {"turn": t, "share": round(v, 4), "low": round(i.low, 4), "high": round(i.high, 4)}
        for t, v, i in shown
    ]
    x = {
        "field": "turn",
        "type": "quantitative",
        "title": "Messages",
        "axis": {"values": [t for t, _, _ in shown], "format": "d"},
        "scale": {"domain": [shown[0][0], max(shown[-1][0], shown[0][0] + 1)], "nice": False},
    }
    scale = {"domain": [0, 1]}
    y = {"type": "quantitative", "title": "Behaviours brought out", "scale": scale, "axis": {"format": "%"}}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "area", "color": ACCENT, "opacity": 0.2, "interpolate": "step-after"},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "line", "color": ACCENT, "interpolate": "step-after", "point": True},
            "encoding": {"x": x, "y": {**y, "field": "share"}},
        },
    ]
    dashed = ""
    if at_once.value is not None:
        layers.append(
            {
                "data": {"values": [{"share": round(at_once.value, 4)}]},
                "mark": {"type": "rule", "color": INK, "strokeDash": [4, 4], "opacity": 0.6},
                "encoding": {"y": {**y, "field": "share"}},
            }
        )
        dashed = f" The dashed line is asking at once, {at_once.value:.1%}."
    last = shown[-1]
    first = next((t for t, v, _ in shown if v > 0), None)
    alt = f"Share of behaviours brought out, by messages: {last[1]:.1%} within {last[0]}" + (
        f", the first after {first}." if first is not None else "; none at all."
    )
    rows = [(str(t), m.value, *_ends(m)) for t, m in rates]
    return [
        Chart(
            name="success_by_turn",
            title="Harmful behaviours brought out, by number of messages",
            alt=alt + dashed,
            spec=layered(layers, values, height=240, **limit_of(limit, "y")),
            columns=("Messages", "Brought out", "Low", "High"),
            rows=(*rows, ("Asked at once", at_once.value, *_ends(at_once))),
        )
    ]


def _ends(metric: Metric) -> tuple[float | None, float | None]:
    return (metric.interval.low, metric.interval.high) if metric.interval else (None, None)
