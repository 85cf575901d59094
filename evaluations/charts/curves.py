"""Curves: reliability, success by effort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evaluations.charts.base import ACCENT, INK, layered, limit_of
from evaluations.spec import Chart
from evaluations.stats import wilson

if TYPE_CHECKING:
    from evaluations.quality.calibration_error import Bins


def reliability(bins: Bins) -> list[Chart]:
    """Share of right answers against stated confidence, per bin, with Wilson intervals and the diagonal."""
    values = []
    for count, right, confidence in zip(bins.counts, bins.right, bins.confidence, strict=True):
        interval = wilson(float(right), int(count))
        values.append(
            {
                "confidence": round(float(confidence / count), 4),
                "right": round(float(right / count), 4),
                "low": round(interval.low, 4),
                "high": round(interval.high, 4),
                "n": int(count),
            }
        )
    if not values:
        return []
    scale = {"domain": [0, 1]}
    x = {
        "field": "confidence",
        "type": "quantitative",
        "title": "Stated confidence",
        "scale": scale,
        "axis": {"format": "%"},
    }
    y = {
        "field": "right",
        "type": "quantitative",
        "title": "Share of right answers",
        "scale": scale,
        "axis": {"format": "%"},
    }
    ideal = {"values": [{"confidence": 0, "right": 0}, {"confidence": 1, "right": 1}]}
    layers: list[dict[str, Any]] = [
        {
            "data": ideal,
            "mark": {"type": "line", "color": INK, "strokeDash": [4, 4], "opacity": 0.5},
            "encoding": {"x": x, "y": y},
        },
        {
            "mark": {"type": "rule", "color": ACCENT, "strokeWidth": 2},
            "encoding": {"x": x, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1, "color": ACCENT},
            "encoding": {"x": x, "y": y},
        },
    ]
    widest = max(values, key=lambda v: v["n"] * abs(v["right"] - v["confidence"]))
    alt = (
        f"Reliability curve over {len(values)} bins of confidence. The bin that adds most to the error states "
        f"{widest['confidence']:.1%} and is right {widest['right']:.1%} of the time ({widest['n']:,} examples)."
    )
    return [
        Chart(
            name="reliability",
            title="Stated confidence and share of right answers",
            alt=alt,
            spec=layered(layers, values, height=300),
            columns=("Mean confidence", "Share right", "Low", "High", "n"),
            rows=tuple((v["confidence"], v["right"], v["low"], v["high"], v["n"]) for v in values),
        )
    ]


def success_by_queries(curve: Sequence[tuple[int, float, float, float]]) -> list[Chart]:
    """Share of attacks that succeeded within q queries, with its 95 % band."""
    if not curve:
        return []
    values = [
        {"queries": q, "share": round(share, 4), "low": round(low, 4), "high": round(high, 4)}
        for q, share, low, high in curve
    ]
    x = {"field": "queries", "type": "quantitative", "title": "Queries"}
    scale = {"domain": [0, 1]}
    y = {"type": "quantitative", "title": "Attacks that succeeded", "scale": scale, "axis": {"format": "%"}}
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "area", "color": ACCENT, "opacity": 0.2, "interpolate": "step-after"},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "line", "color": ACCENT, "interpolate": "step-after"},
            "encoding": {"x": x, "y": {**y, "field": "share"}},
        },
    ]
    half = next((q for q, share, *_ in curve if share >= 0.5), None)
    alt = (
        f"Attack success against queries: {curve[-1][1]:.1%} of attacks succeeded within {curve[-1][0]} queries; "
        + (f"half had succeeded after {half}." if half is not None else "fewer than half ever succeeded.")
    )
    return [
        Chart(
            name="success_by_queries",
            title="Attack success by number of queries",
            alt=alt,
            spec=layered(layers, values, height=240, **limit_of("attack_success_rate", "y")),
            columns=("Queries", "Succeeded", "Low", "High"),
            rows=tuple(curve),
        )
    ]
