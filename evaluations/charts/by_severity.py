"""Accuracy by kind of corruption and severity, as a table of shades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evaluations.charts.base import ACCENT, INK, layered
from evaluations.spec import Chart

if TYPE_CHECKING:
    from evaluations.stats import Estimate

TITLE = "Accuracy by corruption and severity"


def by_severity(cells: Sequence[tuple[str, int, Estimate]]) -> list[Chart]:
    """`cells` are (kind, severity, accuracy); severity 0 are the clean images, the same for every kind."""
    if not cells:
        return []
    values = [
        {
            "corruption": _plain(kind),
            "severity": "clean" if severity == 0 else str(severity),
            "accuracy": round(found.value, 4),
            "low": round(found.interval.low, 4),
            "high": round(found.interval.high, 4),
        }
        for kind, severity, found in cells
    ]
    y = {"field": "corruption", "type": "nominal", "title": None, "sort": None}
    x = {
        "field": "severity",
        "type": "ordinal",
        "title": "Severity",
        "sort": None,
        "axis": {"labelAngle": 0, "orient": "top"},
    }
    shade = {
        "field": "accuracy",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": [0.0, 0.6]},
        "legend": None,
    }
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "rect", "color": ACCENT}, "encoding": {"y": y, "x": x, "opacity": shade}},
        {
            "mark": {"type": "text", "color": INK, "fontSize": 11},
            "encoding": {
                "y": y,
                "x": x,
                "text": {"field": "accuracy", "type": "quantitative", "format": ".0%"},
            },
        },
    ]
    corrupted = [(kind, severity, found) for kind, severity, found in cells if severity] or list(cells)
    worst = min(corrupted, key=lambda cell: cell[2].value)
    best = max(corrupted, key=lambda cell: cell[2].value)
    alt = (
        f"{TITLE}: lowest {worst[2].value:.1%} under {_plain(worst[0])} at severity {worst[1]}, highest "
        f"{best[2].value:.1%} under {_plain(best[0])} at severity {best[1]}; {cells[0][2].value:.1%} on clean images."
    )
    return [
        Chart(
            name="by_severity",
            title=TITLE,
            alt=alt,
            spec=layered(layers, values, height={"step": 24}),
            columns=("Corruption", "Severity", "n", "Accuracy", "Low", "High"),
            rows=tuple(
                (_plain(kind), severity, found.n, found.value, found.interval.low, found.interval.high)
                for kind, severity, found in cells
            ),
        )
    ]


def _plain(kind: str) -> str:
    return kind.replace("_", " ").replace("jpeg", "JPEG")
