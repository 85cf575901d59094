"""Latencies: the share of requests answered within a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.charts.base import ACCENT, layered, limit_of
from evaluations.spec import Chart

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = 100


def latency_curve(seconds: NDArray[np.float64]) -> list[Chart]:
    """Share of requests answered within x seconds."""
    if not len(seconds):
        return []
    ordered = np.sort(seconds)
    shares = np.unique(np.r_[np.linspace(0, 1, POINTS + 1)[1:], 0.99])
    at = ordered[np.ceil(shares * len(ordered) - 1e-9).astype(int) - 1]
    values = [
        {"seconds": round(float(x), 6), "share": round(float(s), 4)} for x, s in zip(at, shares, strict=True)
    ]
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "line", "color": ACCENT, "interpolate": "step-after"},
            "encoding": {
                "x": {"field": "seconds", "type": "quantitative", "title": "Seconds from request to answer"},
                "y": {
                    "field": "share",
                    "type": "quantitative",
                    "title": "Requests answered",
                    "scale": {"domain": [0, 1]},
                    "axis": {"format": "%"},
                },
            },
        }
    ]
    middle, late = (float(ordered[int(np.ceil(q * len(ordered))) - 1]) for q in (0.5, 0.99))
    alt = (
        f"Share of {len(ordered):,} requests answered within a time: half within {middle:.3g} s, "
        f"99 % within {late:.3g} s, the slowest after {ordered[-1]:.3g} s."
    )
    return [
        Chart(
            name="latency",
            title="Requests answered within a time",
            alt=alt,
            spec=layered(layers, values, height=240, **limit_of("latency_p99", "x")),
            columns=("Seconds", "Share answered"),
            rows=tuple((v["seconds"], v["share"]) for v in values),
        )
    ]
