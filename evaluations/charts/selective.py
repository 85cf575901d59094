"""Risk against the share of examples that the model answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered
from evaluations.spec import Chart


def risk_coverage(points: Sequence[tuple[float, float, float]]) -> list[Chart]:
    """`points` are (share answered, share wrong of them, the same had the model known where it is wrong)."""
    if not points:
        return []
    values = [{"share": round(c, 4), "risk": round(r, 4), "best": round(b, 4)} for c, r, b in points]
    x = {
        "field": "share",
        "type": "quantitative",
        "title": "Share answered, most confident first",
        "scale": {"domain": [0, 1]},
        "axis": {"format": "%"},
    }
    y = {"type": "quantitative", "title": "Share wrong", "axis": {"format": "%"}}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "line", "color": INK, "strokeDash": [4, 4], "opacity": 0.5},
            "encoding": {"x": x, "y": {**y, "field": "best"}},
        },
        {
            "mark": {"type": "line", "color": ACCENT, "strokeWidth": 2},
            "encoding": {"x": x, "y": {**y, "field": "risk"}},
        },
    ]
    half = min(values, key=lambda v: abs(v["share"] - 0.5))
    alt = (
        f"Risk against coverage: answering everything the model is wrong {values[-1]['risk']:.1%} of the time, "
        f"answering its most confident {half['share']:.0%} it is wrong {half['risk']:.1%} of the time. "
        "The dashed line is the best possible order."
    )
    return [
        Chart(
            name="risk_coverage",
            title="Share wrong by share answered",
            alt=alt,
            spec=layered(layers, values, height=240),
            columns=("Share answered", "Share wrong", "Best possible"),
            rows=tuple((v["share"], v["risk"], v["best"]) for v in values),
        )
    ]
