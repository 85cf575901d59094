"""Three areas under the ROC curve of each group that texts name, as points with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluations.charts.base import layered, limit_of
from evaluations.charts.distributions import COLOURS
from evaluations.spec import Chart, Metric

TITLE = "Areas under the ROC curve, by group that is named"


def identity_areas(areas: Sequence[tuple[Metric, str]], names: Mapping[str, str]) -> list[Chart]:
    """`areas` are metrics with their titles; `names` what each slice is called. What has no number is in the table."""
    shown = [
        (names[m.slice], title, m.value, m.interval)
        for m, title in areas
        if m.value is not None and m.interval
    ]
    if not shown:
        return []
    values = [
        {
            "group": group,
            "area": title,
            "value": round(value, 4),
            "low": round(i.low, 4),
            "high": round(i.high, 4),
        }
        for group, title, value, i in shown
    ]
    kinds = list(dict.fromkeys(title for _, title, _, _ in shown))
    y = {"field": "group", "type": "nominal", "title": None, "sort": None}
    side = {"field": "area", "sort": kinds}
    colour = {
        "field": "area",
        "type": "nominal",
        "sort": kinds,
        "title": None,
        "scale": {"domain": kinds, "range": list(COLOURS[: len(kinds)])},
        "legend": {"orient": "top", "columns": 1},
    }
    x = {"type": "quantitative", "title": "Area under the ROC curve", "scale": {"domain": [0, 1]}}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {
                "y": y,
                "yOffset": side,
                "color": colour,
                "x": {**x, "field": "low"},
                "x2": {"field": "high"},
            },
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {"y": y, "yOffset": side, "color": colour, "x": {**x, "field": "value"}},
        },
    ]
    worst = min(shown, key=lambda s: s[2])
    alt = (
        f"{TITLE}: the lowest is {worst[2]:.3f}, of {worst[0]} ({worst[1]}); {len({s[0] for s in shown})} groups with "
        "three areas each, with 95 % intervals of their own."
    )
    return [
        Chart(
            name="identity_areas",
            title=TITLE,
            alt=alt,
            spec=layered(layers, values, height={"step": 16}, **limit_of("worst_auc", "x")),
            columns=("Group", "Area", "n", "Value", "Low", "High"),
            rows=tuple(
                (
                    names[m.slice],
                    title,
                    m.n,
                    m.value,
                    m.interval.low if m.interval else None,
                    m.interval.high if m.interval else None,
                )
                for m, title in areas
            ),
        )
    ]
