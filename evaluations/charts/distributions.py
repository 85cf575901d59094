"""How values are spread in two or more groups of examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.charts.base import INK, layered
from evaluations.spec import Chart

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 20
COLOURS = ("#2f6fb3", "#c8641e", "#4b8b3b", "#8a4fa3")


def distributions(name: str, title: str, what: str, groups: dict[str, NDArray[np.float64]]) -> list[Chart]:
    """Shares of each group in equal bins of a common range, one line each."""
    held = {group: values for group, values in groups.items() if len(values)}
    if not held:
        return []
    every = np.concatenate(list(held.values()))
    low, high = float(every.min()), float(every.max())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = {group: np.histogram(values, edges)[0] / len(values) for group, values in held.items()}
    middles = (edges[:-1] + edges[1:]) / 2
    values = [
        {"value": round(float(middle), 6), "share": round(float(share[i]), 4), "group": group}
        for group, share in shares.items()
        for i, middle in enumerate(middles)
    ]
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "line", "interpolate": "step", "strokeWidth": 2},
            "encoding": {
                "x": {"field": "value", "type": "quantitative", "title": what, "scale": {"zero": False}},
                "y": {
                    "field": "share",
                    "type": "quantitative",
                    "title": "Share of examples",
                    "axis": {"format": "%"},
                },
                "color": {
                    "field": "group",
                    "type": "nominal",
                    "title": None,
                    "scale": {"domain": list(held), "range": list(COLOURS[: len(held)])},
                    "legend": {"labelColor": INK, "orient": "top"},
                },
            },
        }
    ]
    medians = ", ".join(f"{group} {np.median(v):.3g} ({len(v):,})" for group, v in held.items())
    return [
        Chart(
            name=name,
            title=title,
            alt=f"{title}. Medians (and numbers) of {what.lower()}: {medians}.",
            spec=layered(layers, values, height=220),
            columns=(f"{what} from", "to", *(f"Share of {group}" for group in held)),
            rows=tuple(
                (
                    round(float(edges[i]), 6),
                    round(float(edges[i + 1]), 6),
                    *(round(float(share[i]), 4) for share in shares.values()),
                )
                for i in range(BINS)
            ),
        )
    ]
