"""Receiver operating characteristic on two log scales, where false alarms are few: what privacy is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered
from evaluations.spec import Chart

OTHERS = ("#b3502f", "#3c8a4f", "#7a4fa3", "#8a7a1f", "#2f8f9a", "#a33c6e", "#5b6470")
LEAST = 1e-4
TABLE = (0.001, 0.01, 0.1, 0.5)
STEPS = 8  # points in a power of ten
FEW = 4  # curves whose bands can be told apart

Point = tuple[float, float, float | None, float | None]
"""(rate of false alarms, share of members found, low, high)."""


def rates(non_members: int) -> list[float]:
    """Rates of false alarms from 1e-4, or from one of the non-members, to 1; those of the table are among them."""
    least = max(LEAST, 1 / max(1, non_members))
    steps = round(-math.log10(least) * STEPS)
    spaced = (least ** (1 - k / max(1, steps)) for k in range(steps + 1))
    return sorted({round(rate, 9) for rate in (*spaced, *TABLE) if rate <= 1})


def roc(
    name: str, title: str, curves: Mapping[str, Sequence[Point]], certified_from: float | None = None
) -> list[Chart]:
    """A curve an attack with its 95 % band, the line of chance, and the rates at which the bounds are vouched for."""
    curves = {attack: points for attack, points in curves.items() if points}
    if not curves:
        return []
    least = min(point[0] for points in curves.values() for point in points if point[0] not in TABLE)
    values: list[dict[str, Any]] = [
        {"attack": attack, "fpr": fpr, "tpr": max(tpr, least)}
        | ({} if low is None or high is None else {"low": max(low, least), "high": max(high, least)})
        for attack, points in curves.items()
        for fpr, tpr, low, high in points
        if fpr >= least
    ]
    scale = {"type": "log", "domain": [least, 1], "clamp": True}
    powers = [10.0**-k for k in range(math.ceil(-math.log10(least)), -1, -1) if 10.0**-k >= least]
    axis = {"format": "~g", "values": powers}
    x = {"field": "fpr", "type": "quantitative", "title": "False alarms (FPR)", "scale": scale, "axis": axis}
    y = {"type": "quantitative", "title": "Members found (TPR)", "scale": scale, "axis": axis}
    colour = {
        "field": "attack",
        "type": "nominal",
        "title": None,
        "sort": None,
        "scale": {"domain": list(curves), "range": [ACCENT, *OTHERS][: len(curves)]},
        "legend": {"orient": "bottom", "columns": 2} if len(curves) > 1 else None,
    }
    layers: list[dict[str, Any]] = [
        *_certified(certified_from, least, x, y),
        {
            "data": {"values": [{"fpr": least, "tpr": least}, {"fpr": 1, "tpr": 1}]},
            "mark": {"type": "line", "color": INK, "strokeDash": [4, 4], "opacity": 0.6},
            "encoding": {"x": x, "y": {**y, "field": "tpr"}},
        },
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "area", "opacity": 0.12 if len(curves) < FEW else 0.06},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
        },
        {
            "mark": {"type": "line", "strokeWidth": 2},
            "encoding": {"x": x, "y": {**y, "field": "tpr"}, "color": colour},
        },
    ]
    at = {attack: {point[0]: point for point in points} for attack, points in curves.items()}
    rows = [(attack, *at[attack][fpr]) for attack in curves for fpr in TABLE if fpr in at[attack]]
    told = ", ".join(f"{attack} {at[attack][0.01][1]:.1%}" for attack in curves if 0.01 in at[attack])
    vouched = (
        ""
        if certified_from is None
        else f" The shaded region, from {certified_from:.2%} false alarms on, has enough non-members for its bounds."
    )
    return [
        Chart(
            name=name,
            title=title,
            alt=f"Members found against false alarms, both on a log scale; the dashed line is chance. At 1 % false "
            f"alarms: {told}.{vouched}",
            spec=layered(layers, values, height=340),
            columns=("Attack", "False alarms", "Members found", "Low", "High"),
            rows=tuple(rows),
        )
    ]


def _certified(
    start: float | None, least: float, x: dict[str, Any], y: dict[str, Any]
) -> list[dict[str, Any]]:
    if start is None or start >= 1:
        return []
    region = {"from": max(start, least), "to": 1, "bottom": least, "top": 1}
    return [
        {
            "data": {"values": [region]},
            "mark": {"type": "rect", "color": INK, "opacity": 0.06},
            "encoding": {
                "x": {**x, "field": "from"},
                "x2": {"field": "to"},
                "y": {**y, "field": "bottom"},
                "y2": {"field": "top"},
            },
        }
    ]
