"""Bars of groups and categories, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered, limit_of
from evaluations.spec import Chart, Metric


def group_bars(
    name: str,
    title: str,
    rates: Sequence[tuple[str, Metric]],
    ratio: str | None = None,
    limit: str | None = None,
    what: str = "Group",
    top: float = 1.0,
) -> list[Chart]:
    """One rate per group, or per `what` the bars are, with its interval. What has no number is in the table only.

    `limit` names the metric whose limit is drawn; `ratio` the one that divides the rates by the highest: a limit
    on it is drawn at limit × highest. `top` is where the axis ends, for rates that are all near 0.
    """
    shown = [(group, m.value, m.interval) for group, m in rates if m.value is not None and m.interval]
    if not shown:
        return []
    values = [
        {"group": group, "rate": round(value, 4), "low": round(i.low, 4), "high": round(i.high, 4)}
        for group, value, i in shown
    ]
    y = {"field": "group", "type": "nominal", "title": None, "sort": None}
    scale = {"domain": [0, top]}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "bar", "color": ACCENT, "height": 14},
            "encoding": {
                "y": y,
                "x": {
                    "field": "rate",
                    "type": "quantitative",
                    "title": title,
                    "scale": scale,
                    "axis": {"format": "%"},
                },
            },
        },
        {
            "mark": {"type": "rule", "color": INK, "strokeWidth": 2},
            "encoding": {"y": y, "x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}},
        },
    ]
    low, high = min(shown, key=lambda s: s[1]), max(shown, key=lambda s: s[1])
    alt = (
        f"{title}: lowest {low[0]} with {low[1]:.1%}, highest {high[0]} with {high[1]:.1%}, "
        f"{len(shown)} {_many(what)}, each with its 95 % interval."
    )
    rows = tuple(
        (group, m.n, m.value, m.interval.low if m.interval else None, m.interval.high if m.interval else None)
        for group, m in rates
    )
    line = limit_of(ratio, "x", times=high[1]) if ratio else limit_of(limit, "x") if limit else {}
    return [
        Chart(
            name=name,
            title=title,
            alt=alt,
            spec=layered(layers, values, height={"step": 28}, **line),
            columns=(what, "n", "Rate", "Low", "High"),
            rows=rows,
        )
    ]


def _many(what: str) -> str:
    """`groups`, `kinds of swap`."""
    first, of, rest = what.lower().partition(" of ")
    return f"{'categorie' if first == 'category' else first}s{of}{rest}"
