"""A drawing that came from a sandbox is rebuilt from allow-listed parts before it enters a page."""

from __future__ import annotations

import pytest

from auditor.web import svg

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="10" height="20">'


def drawn(body: str) -> str:
    return str(svg.inline(f"{HEAD}{body}</svg>".encode(), "A chart", "c1"))


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<foreignObject><b xmlns='http://www.w3.org/1999/xhtml'>x</b></foreignObject>",
        "<style>body{display:none}</style>",
        "<a xlink:href='javascript:alert(1)'><text>x</text></a>",
        "<image xlink:href='http://example.org/x.png'/>",
        "<use xlink:href='#x'/>",
        "<rect onclick='alert(1)' width='1' height='1'/>",
        "<rect style='position:fixed' width='1' height='1'/>",
        "<rect fill='url(http://example.org/x)' width='1' height='1'/>",
        "<rect fill='u\\72l(http://example.org/x)' width='1' height='1'/>",
        "<animate attributeName='x' values='1'/>",
    ],
)
def test_nothing_that_runs_loads_or_styles_gets_through(hostile: str) -> None:
    result = drawn(hostile).lower()
    for word in (
        "script",
        "foreignobject",
        "<style",
        "style=",
        "href",
        "<image",
        "<use",
        "onclick",
        "example.org",
        "<animate",
    ):
        assert word not in result


def test_drawing_primitives_and_theme_colours_stay() -> None:
    result = drawn('<g stroke="currentColor"><path d="M0 0L5 5"/><text fill="var(--ink)">a &lt; b</text></g>')
    assert '<path d="M0 0L5 5"' in result
    assert 'stroke="currentColor"' in result
    assert "a &lt; b" in result
    assert 'viewBox="0 0 10 20"' in result
    assert 'aria-label="A chart"' in result


def test_names_within_a_drawing_are_kept_apart_from_the_page() -> None:
    result = drawn(
        '<defs><clipPath id="main"><rect width="1" height="1"/></clipPath></defs><g clip-path="url(#main)"/>'
    )
    assert 'id="c1-main"' in result
    assert 'clip-path="url(#c1-main)"' in result


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"<svg", "not well-formed"),
        (b"<html/>", "not SVG"),
        (
            b"<!DOCTYPE svg [<!ENTITY a 'b'>]><svg xmlns='http://www.w3.org/2000/svg'>&a;</svg>",
            "document type",
        ),
        (b"<svg>" + b" " * svg.MAX_BYTES, "larger than"),
    ],
)
def test_what_is_no_plain_drawing_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(svg.UnsafeSvg, match=reason):
        svg.inline(data, "A chart", "c1")
