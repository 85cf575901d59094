"""Attacks on texts: success by recipe, under its own constraints and adjusted ones, and success by queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered, limit_of
from evaluations.spec import Chart, Metric

OTHERS = ("#b3502f", "#3c8a4f", "#7a4fa3", "#8a7a1f", "#2f8f9a", "#a33c6e", "#5b6470")
Curve = Sequence[tuple[int, float, float, float]]


def success_curves(curves: Mapping[str, Curve]) -> list[Chart]:
    """Share of attacks that succeeded within q queries, with its 95 % band, a curve per attack."""
    curves = {name: curve for name, curve in curves.items() if curve}
    if not curves:
        return []
    values = [
        {"attack": name, "queries": q, "share": round(share, 4), "low": round(low, 4), "high": round(high, 4)}
        for name, curve in curves.items()
        for q, share, low, high in curve
    ]
    x = {"field": "queries", "type": "quantitative", "title": "Queries"}
    scale = {"domain": [0, 1]}
    y = {"type": "quantitative", "title": "Attacks that succeeded", "scale": scale, "axis": {"format": "%"}}
    colour = {
        "field": "attack",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(curves), "range": [ACCENT, *OTHERS][: len(curves)]},
        "legend": {"orient": "bottom"} if len(curves) > 1 else None,
    }
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "area", "opacity": 0.15, "interpolate": "step-after"},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "line", "interpolate": "step-after"},
            "encoding": {"x": x, "y": {**y, "field": "share"}, "color": colour},
        },
    ]
    told = []
    for name, curve in curves.items():
        half = next((q for q, share, *_ in curve if share >= 0.5), None)
        told.append(
            f"{name}: {curve[-1][1]:.1%} of attacks succeeded within {curve[-1][0]} queries, "
            + (f"half of them after {half}" if half is not None else "fewer than half ever")
        )
    return [
        Chart(
            name="success_by_queries",
            title="Attack success by number of queries",
            alt=f"Attack success against queries. {'; '.join(told)}.",
            spec=layered(layers, values, height=240, **limit_of("attack_success_rate", "y")),
            columns=("Attack", "Queries", "Succeeded", "Low", "High"),
            rows=tuple((name, *point) for name, curve in curves.items() for point in curve),
        )
    ]


def success_by_recipe(bars: Sequence[tuple[str, str, Metric]]) -> list[Chart]:
    """`bars` are (recipe, which constraints, its success rate), with intervals. What has no value is in no bar."""
    shown = [
        (recipe, how, m.value, m.interval) for recipe, how, m in bars if m.value is not None and m.interval
    ]
    if not shown:
        return []
    values = [
        {
            "bar": f"{recipe}, {how}",
            "how": how,
            "rate": round(v, 4),
            "low": round(i.low, 4),
            "high": round(i.high, 4),
        }
        for recipe, how, v, i in shown
    ]
    y = {"field": "bar", "type": "nominal", "title": None, "sort": None}
    kinds = list(dict.fromkeys(how for _, how, *_ in shown))
    colour = {
        "field": "how",
        "type": "nominal",
        "scale": {"domain": kinds, "range": [ACCENT, *OTHERS][: len(kinds)]},
        "legend": None,
    }
    x = {
        "type": "quantitative",
        "title": "Attacks that succeeded",
        "scale": {"domain": [0, 1]},
        "axis": {"format": "%"},
    }
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "bar", "height": 14},
            "encoding": {"y": y, "x": {**x, "field": "rate"}, "color": colour},
        },
        {
            "mark": {"type": "rule", "color": INK, "strokeWidth": 2},
            "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
    ]
    most = max(shown, key=lambda bar: bar[2])
    return [
        Chart(
            name="success_by_recipe",
            title="Attack success by recipe",
            alt=f"Attack success of {len(shown)} attacks, each with its 95 % interval. {most[0]} with {most[1]} "
            f"succeeds most: {most[2]:.1%}.",
            spec=layered(layers, values, height={"step": 28}, **limit_of("attack_success_rate", "x")),
            columns=("Recipe", "Constraints", "n", "Succeeded", "Low", "High"),
            rows=tuple(
                (
                    recipe,
                    how,
                    m.n,
                    m.value,
                    m.interval.low if m.interval else None,
                    m.interval.high if m.interval else None,
                )
                for recipe, how, m in bars
            ),
        )
    ]
