"""What every chart shares: colours that follow the page's theme, the layered frame, where a limit belongs."""

from __future__ import annotations

from typing import Any

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
        "labelLimit": 300,  # whole names; pages scroll a wide chart
        "labelSeparation": 6,  # a page's font may be wider than the one that labels are measured in
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {
        "labelColor": INK,
        "titleColor": INK,
        "labelLimit": 300,
        "symbolOpacity": 1,
        "columnPadding": 28,
    },
    "text": {"color": INK},
}


def layered(layers: list[dict[str, Any]], values: list[dict[str, Any]], **rest: Any) -> dict[str, Any]:
    """A layered spec, so that a limit line can be appended as one more layer."""
    return {
        "$schema": SCHEMA,
        "config": CONFIG,
        "data": {"values": values},
        "layer": layers,
        "width": 420,
        **rest,
    }


def limit_of(metric: str, axis: str, times: float = 1.0) -> dict[str, Any]:
    """Says that a policy's limit on `metric`, times `times`, belongs on that axis; who knows the policy draws it."""
    return {"usermeta": {"auditor": {"metric": metric, "value_axis": axis, "times": times}}}
