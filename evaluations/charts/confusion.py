"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.charts.base import layered
from evaluations.spec import Chart

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CLASSES = 30  # beyond this a confusion matrix is unreadable


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
            spec=layered(
                layers, values, width={"step": max(36, 260 // k)}, height={"step": max(28, 160 // k)}
            ),
            columns=("True class", "Answer", "Count", "Share of the true class"),
            rows=tuple((v["truth"], v["answer"], v["count"], v["share"]) for v in values),
        )
    ]
