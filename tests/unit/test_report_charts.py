"""Charts are drawn with their limits, follow the page's theme, and hold nothing but drawing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from auditor.reports import charts
from tests.card_examples import GROUP_CHART

SPEC: dict[str, Any] = GROUP_CHART["spec"]
CONTROLS = [{"item": "groups", "metric": "selection_rate", "comparison": ">=", "limit": 0.2}]


def interval(**changes: Any) -> ET.Element:
    given: dict[str, Any] = {
        "value": 0.32, "low": 0.29, "high": 0.35, "limit": 0.8, "comparison": ">=", "outcome": "fail", "label": "x",
    }  # fmt: skip
    return ET.fromstring(charts.interval_svg(**{**given, **changes}))


def places(svg: ET.Element) -> dict[str, float]:
    """The middle of the dot, of the tick, and the ends of the interval's bar."""
    dot = svg.find(f"{charts.SVG}circle")
    rects = {(r.get("height"), r.get("width")): r for r in svg.findall(f"{charts.SVG}rect")}
    tick = next(r for (h, _), r in rects.items() if h == "18")
    bar = next((r for (h, _), r in rects.items() if h == "8"), None)
    found = {"tick": float(tick.get("x", 0)) + 0.9}
    if dot is not None:
        found["dot"] = float(dot.get("cx", 0))
    if bar is not None:
        found["low"] = float(bar.get("x", 0))
        found["high"] = found["low"] + float(bar.get("width", 0))
    return found


def test_a_wider_font_than_the_one_measured_finds_room_at_the_left() -> None:
    page, printed = (ET.fromstring(charts.render_svg(SPEC, font)) for font in (None, "DejaVu Sans"))
    left = float(page.get("viewBox", "").split()[0])
    longest = max(len(t.text or "") for t in page.iter(f"{charts.SVG}text") if t.get("text-anchor") == "end")
    assert left <= -longest  # a fifth of a letter's width for each
    assert (
        float(printed.get("viewBox", "").split()[0]) == 0
    )  # the report prints with the font that was measured
    assert float(page.get("width", 0)) == float(page.get("viewBox", "").split()[2])


def test_the_limit_is_drawn_once_with_its_label_on_the_value_axis() -> None:
    plain, limited = charts.render_svg(SPEC), charts.render_svg(charts.with_limits(SPEC, "groups", CONTROLS))
    assert "limit ≥ 0.2" not in plain
    assert limited.count(">limit ≥ 0.2<") == 1
    assert limited.count("stroke-dasharray") == 1


def test_a_limit_on_another_metric_or_item_is_not_drawn() -> None:
    assert charts.with_limits(SPEC, "calibration", CONTROLS) is SPEC
    told = {"auditor": {**SPEC["usermeta"]["auditor"], "times": 0.25}}
    scaled = charts.with_limits({**SPEC, "usermeta": told}, "groups", CONTROLS)
    assert scaled["layer"][-2]["data"]["values"] == [{"limit": CONTROLS[0]["limit"] * 0.25}]
    assert "of the highest" in scaled["layer"][-1]["mark"]["text"]
    assert charts.with_limits(SPEC, "groups", [{**CONTROLS[0], "metric": "tpr"}]) is SPEC
    assert charts.with_limits({**SPEC, "usermeta": {}}, "groups", CONTROLS) == {**SPEC, "usermeta": {}}


def test_ink_follows_the_page() -> None:
    assert 'fill="currentColor"' in charts.render_svg(SPEC)


def test_labels_are_text_whatever_they_hold() -> None:
    rows = [{"group": "<script>alert(1)</script>", "rate": 1}]
    drawn = charts.render_svg({**SPEC, "data": {"values": rows}})
    assert "&lt;script&gt;" in drawn
    assert "<script" not in drawn


def test_characters_that_no_svg_can_hold_do_not_end_the_process() -> None:
    """In a process of its own: the renderer aborts at them, and whoever issues the card would be gone."""
    labels = ["a\x00b", "a\x1bb", "\ufffe", "\ud800", "&#x1b;"]
    spec = {**SPEC, "title": labels[0], "data": {"values": [{"group": label, "rate": 1} for label in labels]}}
    program = (
        "import json, sys; from auditor.reports import charts; print(charts.render_svg(json.load(sys.stdin)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(spec), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:300]
    assert done.stdout.count("a\ufffdb") >= 2
    assert "&amp;#x1b;" in done.stdout


@pytest.mark.parametrize(
    "spec",
    [
        {**SPEC, "data": {"url": "https://example.org/data.json"}},
        {**SPEC, "data": {"url": "file:///etc/passwd"}},
        {"mark": "nonsense"},
        {**SPEC, "layer": [{"mark": {"type": "image", "url": "https://example.org/x.png"}, "encoding": {}}]},
        {**SPEC, "layer": [{"mark": {"type": "bar", "href": "javascript:alert(1)"}, "encoding": {}}]},
    ],
)
def test_what_loads_links_or_cannot_be_drawn_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="chart"):
        charts.render_svg(spec)


def test_the_interval_lies_on_its_side_of_the_limit() -> None:
    at = places(interval())
    assert at["low"] < at["dot"] < at["high"] < at["tick"]
    at = places(interval(value=0.9, low=0.85, high=0.95, outcome="pass"))
    assert at["tick"] < at["low"] < at["dot"] < at["high"]
    at = places(interval(value=0.8, low=0.7, high=0.9, outcome="inconclusive"))
    assert at["low"] < at["tick"] < at["high"]


def test_a_value_without_an_interval_and_one_on_its_limit_are_drawn() -> None:
    assert "low" not in places(interval(low=None, high=None))
    on_it = places(interval(value=0.8, low=0.8, high=0.8))
    assert on_it["dot"] == pytest.approx(on_it["tick"])
    assert places(interval(value=0.0, low=0.0, high=0.0, limit=0.0))["dot"] > 0


def test_the_picture_has_a_text_alternative_and_the_pages_colours() -> None:
    svg = interval(label='0.320 "quoted" <b>')
    assert svg.get("aria-label") == '0.320 "quoted" <b>'
    assert "var(--fail)" in ET.tostring(svg, encoding="unicode")
    assert "var(" not in ET.tostring(
        interval(for_print=True), encoding="unicode"
    )  # Typst knows no page's colours
