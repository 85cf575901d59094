"""How an answer falls as features are removed, in an explanation's order and at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered
from evaluations.spec import Chart

STYLES = {"explanation's": (ACCENT, [1, 0]), "random": (INK, [4, 3])}  # told apart by the dash too
BOUND = ("#8a8a8a", [1, 3])

Point = tuple[str, int, int, float, float | None, float | None]
"""(series, per cent of features removed, n, mean fall, low, high)."""


def perturbation_curves(points: Sequence[Point]) -> list[Chart]:
    """Fall of the answer's probability against the share of features removed, with a 95 % band a series."""
    if not points:
        return []
    series = list(dict.fromkeys(point[0] for point in points))
    values = [
        {"series": name, "percent": percent, "fall": round(fall, 5)}
        | ({} if low is None or high is None else {"low": round(low, 5), "high": round(high, 5)})
        for name, percent, _, fall, low, high in points
    ]
    looks = [STYLES.get(name.split()[0], BOUND) for name in series]
    colour: dict[str, Any] = {
        "field": "series",
        "type": "nominal",
        "title": "Removed",
        "sort": None,
        "scale": {"domain": series, "range": [colour for colour, _ in looks]},
    }
    dash = {
        "field": "series",
        "type": "nominal",
        "title": "Removed",
        "sort": None,
        "scale": {"domain": series, "range": [dash for _, dash in looks]},
    }
    x = {"field": "percent", "type": "quantitative", "title": "Features removed (%)"}
    y = {"type": "quantitative", "title": "Fall of the answer's probability"}
    layers: list[dict[str, Any]] = [
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "area", "opacity": 0.18},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "line", "point": True},
            "encoding": {"x": x, "y": {**y, "field": "fall"}, "color": colour, "strokeDash": dash},
        },
    ]
    last = max(point[1] for point in points)
    ends = ", ".join(f"{name} {fall:+.3f}" for name, percent, _, fall, *_ in points if percent == last)
    return [
        Chart(
            name="perturbation_curves",
            title="What the answer loses as features are removed",
            alt=f"Mean fall of the answer's probability against the share of features removed. At {last} %: {ends}.",
            spec=layered(layers, values, height=280),
            columns=("Removed", "Per cent of features", "n", "Mean fall", "Low", "High"),
            rows=tuple(points),
        )
    ]
