"""Draws charts: Vega-Lite to SVG, and the small picture of an interval against its limit. Pure.

One SVG serves light and dark pages: ink is `currentColor`, and outcome colours are the page's CSS variables.
"""

from __future__ import annotations

import copy
import math
import re
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

VL_VERSION = "5.21"  # pinned: another version of Vega-Lite may draw differently
SVG = "{http://www.w3.org/2000/svg}"
_ELEMENTS = {
    "svg", "g", "path", "rect", "line", "circle", "text", "tspan", "title", "defs", "clipPath",
    "linearGradient", "stop",
}  # fmt: skip
# What XML cannot hold. The renderer ends the whole process at it.
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ROOM_PER_LETTER, MOST_ROOM = 1.3, 90  # pixels: a fifth of a letter's width
PRINT_COLOURS = {
    "pass": "#0b6b3a",
    "fail": "#a8071a",
    "inconclusive": "#7a4b00",
    "not_assessed": "#4a4f57",
    "not_applicable": "#4a4f57",
}
_VARIABLES = {
    "pass": "var(--pass)",
    "fail": "var(--fail)",
    "inconclusive": "var(--warn)",
    "not_assessed": "var(--na)",
    "not_applicable": "var(--na)",
}


def with_limits(spec: dict[str, Any], item: str, controls: list[dict[str, Any]]) -> dict[str, Any]:
    """The chart of a suite item with the limit that a card's controls put on the metric it shows, if they do.

    The chart says in `usermeta.auditor` which axis carries the values of which metric, and what a limit on it is
    to be multiplied by: {"value_axis", "metric", "times"}.
    """
    told = spec.get("usermeta", {}).get("auditor", {})
    metric, times = told.get("metric"), told.get("times", 1)
    for control in controls:
        if metric and (control["item"], control["metric"]) == (item, metric):
            sign = "≥" if control["comparison"] == ">=" else "≤"
            label = f"limit {sign} {control['limit']:g}" + (" of the highest" if times != 1 else "")
            return with_limit(spec, control["limit"] * times, label)
    return spec


def with_limit(spec: dict[str, Any], limit: float, label: str) -> dict[str, Any]:
    """A copy of a layered spec with the limit as a dashed line across its value axis; unchanged if it names none."""
    axis = spec.get("usermeta", {}).get("auditor", {}).get("value_axis")
    if axis not in ("x", "y") or "layer" not in spec:
        return spec
    drawn = copy.deepcopy(spec)
    # its own one-row data, or the line would be drawn once for each row of the chart
    at = {"data": {"values": [{"limit": limit}]}}
    where = {axis: {"datum": limit, "type": "quantitative"}}
    line = {"type": "rule", "color": "currentColor", "strokeDash": [5, 3], "strokeWidth": 1.5}
    place = {"dx": 4, "align": "left", "y": 8} if axis == "x" else {"dy": -5, "align": "right", "x": "width"}
    text = {"type": "text", "text": label, "color": "currentColor", "fontSize": 11, **place}
    drawn["layer"] += [{**at, "mark": line, "encoding": where}, {**at, "mark": text, "encoding": where}]
    return drawn


def render_svg(spec: dict[str, Any], font: str | None = None) -> str:
    """The chart as one SVG element of drawing primitives only: no script, link, style sheet or foreign content.

    Raises ValueError where the specification cannot be drawn or would load anything from elsewhere.
    """
    import vl_convert

    _loads_nothing(spec)
    spec = _writable(spec)
    if font:
        spec = {**spec, "config": {**spec.get("config", {}), "font": font}}
    try:
        drawn = vl_convert.vegalite_to_svg(spec, vl_version=VL_VERSION, allowed_base_urls=[])
    except Exception as error:  # vl-convert raises what its JavaScript engine gives it
        raise ValueError(f"the chart cannot be drawn: {error}") from error
    tree = _only_drawing(drawn)
    if font is None:
        _leave_room(tree)
    return ET.tostring(tree, encoding="unicode")


def _writable(part: Any) -> Any:
    """The same with a mark in place of each character that no SVG can hold: labels come from data and models."""
    if isinstance(part, str):
        return _NO_XML.sub("\ufffd", part)
    if isinstance(part, dict):
        return {_writable(key): _writable(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_writable(value) for value in part]
    return part


def _leave_room(tree: ET.Element) -> None:
    """Widen the drawing to the left where names end at an axis: a page's font may be wider than the one measured."""
    names = [len(text.text or "") for text in tree.iter(f"{SVG}text") if text.get("text-anchor") == "end"]
    room = min(MOST_ROOM, math.ceil(ROOM_PER_LETTER * max(names, default=0)))
    width, height = float(tree.get("width", 0)), float(tree.get("height", 0))
    tree.set("width", f"{width + room:g}")
    tree.set("viewBox", f"{-room} 0 {width + room:g} {height:g}")


def _loads_nothing(part: Any) -> None:
    """Refuse `url` and `href` anywhere but in the rows: the renderer would read even local files that they name."""
    if isinstance(part, dict):
        if loading := {"url", "href"} & part.keys():
            raise ValueError(
                f"the chart names a {' and a '.join(sorted(loading))}; charts carry their data themselves"
            )
        for key, value in part.items():
            if key != "values":
                _loads_nothing(value)
    elif isinstance(part, list):
        for value in part:
            _loads_nothing(value)


def _only_drawing(svg: str) -> ET.Element:
    if "<!DOCTYPE" in svg or "<!ENTITY" in svg:
        raise ValueError("the chart holds a document type, which no chart needs")
    ET.register_namespace("", SVG.strip("{}"))
    tree = ET.fromstring(svg)
    for element in tree.iter():
        name = element.tag.removeprefix(SVG)
        if name not in _ELEMENTS:
            raise ValueError(f"the chart holds the element <{name}>, which no chart needs")
        for attribute, value in list(element.attrib.items()):
            plain = attribute.lower()
            outside = re.search(r"url\(\s*['\"]?(?!#)", value, re.IGNORECASE)
            if plain.startswith("on") or "href" in plain or outside:
                raise ValueError(f"the chart holds the attribute {attribute}={value!r}, which no chart needs")
            if plain in (
                "style",
                "class",
            ):  # the page's style policy would refuse the one and could match the other
                del element.attrib[attribute]
    return tree


def interval_svg(
    *,
    value: float | None,
    low: float | None,
    high: float | None,
    limit: float,
    comparison: str,
    outcome: str,
    label: str,
    for_print: bool = False,
    width: int = 200,
) -> str:
    """A track with the interval as a bar, the value as a dot and the limit as a tick; the allowed side is tinted.

    `label` is the text alternative. The scale is the row's own: it shows on which side of the limit the bar lies.
    """
    height, middle, edge = 24, 12, 6
    colour = (PRINT_COLOURS if for_print else _VARIABLES)[outcome]
    ink, track = ("#1b1f24", "#d5d9e0") if for_print else ("currentColor", "var(--rule)")
    shown = [v for v in (value, low, high, limit) if v is not None]
    span = (max(shown) - min(shown)) or abs(limit) or 1.0
    start, end = min(shown) - 0.18 * span, max(shown) + 0.18 * span

    def at(v: float) -> float:
        return round(edge + (v - start) / (end - start) * (width - 2 * edge), 2)

    tick = at(limit)
    allowed = (tick, width - edge) if comparison == ">=" else (edge, tick)
    parts = [
        f'<rect x="{edge}" y="{middle - 2}" width="{width - 2 * edge}" height="4" rx="2" fill="{track}"/>',
        f'<rect x="{allowed[0]}" y="{middle - 2}" width="{round(allowed[1] - allowed[0], 2)}" height="4" '
        f'fill="{ink}" fill-opacity="0.22"/>',
    ]
    if low is not None and high is not None:
        bar = max(at(high) - at(low), 2.0)
        parts.append(
            f'<rect x="{at(low)}" y="{middle - 4}" width="{round(bar, 2)}" height="8" rx="1.5" fill="{colour}" '
            'fill-opacity="0.55"/>'
        )
    parts.append(f'<rect x="{round(tick - 0.9, 2)}" y="3" width="1.8" height="18" fill="{ink}"/>')
    if value is not None:
        parts.append(f'<circle cx="{at(value)}" cy="{middle}" r="4.2" fill="{colour}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label={quoteattr(label)}>{"".join(parts)}</svg>'
    )
