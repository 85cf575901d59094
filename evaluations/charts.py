"""Vega-Lite specifications of every chart, each with alternative text and the rows of its table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evaluations.spec import Chart, Metric
from evaluations.stats import wilson

if TYPE_CHECKING:
    from evaluations.quality.calibration_error import Bins

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
INK = "currentColor"  # text and axes take the page's colour, so one chart serves light and dark
ACCENT = "#2f6fb3"
CONFIG: dict[str, Any] = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "domainColor": INK,
        "tickColor": INK,
        "gridColor": INK,
        "gridOpacity": 0.15,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {"labelColor": INK, "titleColor": INK},
    "text": {"color": INK},
}
MOST_CLASSES = 30  # beyond this a confusion matrix is unreadable


def _spec(layers: list[dict[str, Any]], values: list[dict[str, Any]], **rest: Any) -> dict[str, Any]:
    """A layered spec, so that a limit line can be appended as one more layer."""
    return {
        "$schema": SCHEMA,
        "config": CONFIG,
        "data": {"values": values},
        "layer": layers,
        "width": 420,
        **rest,
    }


def _limit_of(metric: str, axis: str, times: float = 1.0) -> dict[str, Any]:
    """Says that a policy's limit on `metric`, times `times`, belongs on that axis; who knows the policy draws it."""
    return {"usermeta": {"auditor": {"metric": metric, "value_axis": axis, "times": times}}}


def confusion(truth: NDArray[np.int64], answer: NDArray[np.int64], labels: Sequence[str]) -> list[Chart]:
    """Counts of (true class, answer), shaded by the share within the true class."""
    if len(labels) > MOST_CLASSES:
        return []
    k = len(labels)
    cells = np.bincount(truth * k + answer, minlength=k * k).reshape(k, k)
    shares = cells / np.maximum(1, cells.sum(axis=1, keepdims=True))
    values = [
        {
            "truth": labels[i],
            "answer": labels[j],
            "count": int(cells[i, j]),
            "share": round(float(shares[i, j]), 4),
        }
        for i in range(k)
        for j in range(k)
    ]
    axes = {
        "x": {
            "field": "answer",
            "type": "nominal",
            "title": "Answer",
            "sort": list(labels),
            "axis": {"labelAngle": 0},
        },
        "y": {"field": "truth", "type": "nominal", "title": "True class", "sort": list(labels)},
    }
    share = {
        "field": "share",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": ["#e8eff7", "#17497f"]},
        "legend": None,
    }
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "rect"}, "encoding": {**axes, "color": share}},
        {
            "mark": {"type": "text", "fontSize": 13},
            "encoding": {
                **axes,
                "text": {"field": "count", "type": "quantitative", "format": ",d"},
                "color": {"condition": {"test": "datum.share > 0.5", "value": "#ffffff"}, "value": "#10243a"},
            },
        },
    ]
    worst = max(
        ((i, j) for i in range(k) for j in range(k) if i != j), key=lambda ij: cells[ij], default=(0, 0)
    )
    alt = (
        f"Confusion matrix of {int(cells.sum()):,} examples in {k} classes: {int(np.trace(cells)):,} right. The most "
        f"frequent mistake: {int(cells[worst]):,} examples of class {labels[worst[0]]} answered as {labels[worst[1]]}."
    )
    return [
        Chart(
            name="confusion",
            title="Answers by true class",
            alt=alt,
            spec=_spec(layers, values, width={"step": max(36, 260 // k)}, height={"step": max(28, 160 // k)}),
            columns=("True class", "Answer", "Count", "Share of the true class"),
            rows=tuple((v["truth"], v["answer"], v["count"], v["share"]) for v in values),
        )
    ]


def group_bars(
    name: str, title: str, rates: Sequence[tuple[str, Metric]], ratio: str | None = None
) -> list[Chart]:
    """One rate per group with its interval. Suppressed groups appear in the table only.

    `ratio` names the metric that divides the rates by the highest: a limit on it is drawn at limit × highest.
    """
    shown = [(group, m.value, m.interval) for group, m in rates if m.value is not None and m.interval]
    if not shown:
        return []
    values = [
        {"group": group, "rate": round(value, 4), "low": round(i.low, 4), "high": round(i.high, 4)}
        for group, value, i in shown
    ]
    y = {"field": "group", "type": "nominal", "title": None, "sort": None}
    scale = {"domain": [0, 1]}
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
        f"{len(shown)} groups, each with its 95 % interval."
    )
    rows = tuple(
        (group, m.n, m.value, m.interval.low if m.interval else None, m.interval.high if m.interval else None)
        for group, m in rates
    )
    return [
        Chart(
            name=name,
            title=title,
            alt=alt,
            spec=_spec(
                layers, values, height={"step": 28}, **(_limit_of(ratio, "x", times=high[1]) if ratio else {})
            ),
            columns=("Group", "n", "Rate", "Low", "High"),
            rows=rows,
        )
    ]


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
            spec=_spec(layers, values, height=300),
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
            spec=_spec(layers, values, height=240, **_limit_of("attack_success_rate", "y")),
            columns=("Queries", "Succeeded", "Low", "High"),
            rows=tuple(curve),
        )
    ]
