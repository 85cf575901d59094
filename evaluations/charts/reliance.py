"""How much answers lean on each feature, the largest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered
from evaluations.spec import Chart, Metric


def top_features(name: str, title: str, found: Sequence[tuple[str, Metric, float | None]]) -> list[Chart]:
    """One bar per feature with its interval; each has its label, its metric and its adjusted p value."""
    shown = [(label, m.value, m.interval) for label, m, _ in found if m.value is not None]
    if not shown:
        return []
    values = [
        {"feature": label, "value": float(f"{value:.6g}")}
        | ({"low": float(f"{i.low:.6g}"), "high": float(f"{i.high:.6g}")} if i else {})
        for label, value, i in shown
    ]
    y = {"field": "feature", "type": "nominal", "title": None, "sort": None}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "bar", "color": ACCENT, "height": 12},
            "encoding": {"y": y, "x": {"field": "value", "type": "quantitative", "title": title}},
        },
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "color": INK, "strokeWidth": 2},
            "encoding": {"y": y, "x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}},
        },
    ]
    first, last = shown[0], shown[-1]
    alt = (
        f"{title}: {len(shown)} features, from {first[1]:.3f} for {first[0]} to {last[1]:.3f} for {last[0]}."
    )
    rows = tuple(
        (
            label,
            m.n,
            m.value,
            m.interval.low if m.interval else None,
            m.interval.high if m.interval else None,
            p,
        )
        for label, m, p in found
    )
    return [
        Chart(
            name=name,
            title=title,
            alt=alt,
            spec=layered(layers, values, height={"step": 20}),
            columns=("Feature", "n", "Value", "Low", "High", "Adjusted p"),
            rows=rows,
        )
    ]
