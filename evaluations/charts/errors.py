"""Signed errors of predicted numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.charts.base import ACCENT, INK, layered
from evaluations.spec import Chart
from evaluations.stats import mean_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray


def error_by_tenth(answers: NDArray[np.float64], errors: NDArray[np.float64]) -> list[Chart]:
    """Mean of answer − truth in each tenth of the answers, lowest first, with t intervals."""
    if not len(answers):
        return []
    order = np.argsort(answers, kind="stable")
    values: list[dict[str, Any]] = []
    for part in np.array_split(order, min(10, len(order))):
        interval = mean_interval(errors[part])
        mean = float(errors[part].mean())
        values.append(
            {
                "answer": round(float(answers[part].mean()), 6),
                "error": round(mean, 6),
                "low": round(interval.low if interval else mean, 6),
                "high": round(interval.high if interval else mean, 6),
                "n": len(part),
            }
        )
    x = {"field": "answer", "type": "quantitative", "title": "Mean answer", "scale": {"zero": False}}
    y = {"type": "quantitative", "title": "Answer − truth"}
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": [{"zero": 0}]},
            "mark": {"type": "rule", "color": INK, "strokeDash": [4, 4], "opacity": 0.5},
            "encoding": {"y": {"field": "zero", "type": "quantitative"}},
        },
        {
            "mark": {"type": "rule", "color": ACCENT, "strokeWidth": 2},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1, "color": ACCENT},
            "encoding": {"x": x, "y": {**y, "field": "error"}},
        },
    ]
    worst = max(values, key=lambda v: abs(v["error"]))
    alt = (
        f"Mean signed error in {len(values)} equal parts of the answers. The largest is {worst['error']:,.4g}, "
        f"where the model answers {worst['answer']:,.4g} on average ({worst['n']:,} examples)."
    )
    return [
        Chart(
            name="error_by_tenth",
            title="Signed error by size of the answer",
            alt=alt,
            spec=layered(layers, values, height=240),
            columns=("Mean answer", "Mean error", "Low", "High", "n"),
            rows=tuple((v["answer"], v["error"], v["low"], v["high"], v["n"]) for v in values),
        )
    ]
