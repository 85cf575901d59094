"""Drawn charts made safe to put into a page: an allow-list of SVG elements and attributes, nothing else."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from django.utils.safestring import SafeString, mark_safe

SVG = "{http://www.w3.org/2000/svg}"
MAX_BYTES = 2 * 2**20
ELEMENTS = {
    "svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "defs",
    "clipPath", "linearGradient", "radialGradient", "stop", "title", "desc",
}  # fmt: skip
ATTRIBUTES = {
    "class", "id", "d", "x", "y", "x1", "x2", "y1", "y2", "dx", "dy", "cx", "cy", "r", "rx", "ry", "width", "height",
    "viewBox", "transform", "points", "offset", "preserveAspectRatio", "gradientUnits", "gradientTransform",
    "fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray",
    "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "opacity", "clip-path",
    "clip-rule", "clipPathUnits", "stop-color", "stop-opacity", "font-family", "font-size", "font-weight",
    "font-style", "text-anchor", "dominant-baseline", "text-decoration", "letter-spacing", "visibility",
}  # fmt: skip
LOCAL_REFERENCE = re.compile(r"url\(\s*(['\"]?)#[\w-]+\1\s*\)")
# Names of classes and ids are the page's own affair: a chart's get a prefix, so it can style or hide nothing else.
NAMES = {"class", "id"}


class UnsafeSvg(ValueError):
    """The drawing is not one that may be shown."""


def inline(data: bytes, label: str, scope: str) -> SafeString:
    """The drawing as markup for the page, with `label` as its text alternative and ids kept apart by `scope`.

    Raises UnsafeSvg for what is no SVG, too large, or holds a document type (entities could expand without bound).
    Elements and attributes outside the lists are dropped, with all that is within them.
    """
    if len(data) > MAX_BYTES:
        raise UnsafeSvg("The drawing is larger than 2 MiB.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnsafeSvg("The drawing is not UTF-8.") from error
    if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
        raise UnsafeSvg("The drawing declares a document type.")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise UnsafeSvg("The drawing is not well-formed.") from error
    if root.tag != f"{SVG}svg":
        raise UnsafeSvg("The drawing is not SVG.")
    clean = _copy(root, scope)
    if "viewBox" not in clean.attrib and {"width", "height"} <= clean.attrib.keys():
        clean.set("viewBox", f"0 0 {_plain(clean.get('width'))} {_plain(clean.get('height'))}")
    clean.set("role", "img")
    clean.set("aria-label", label)
    clean.set("class", "chart")
    markup = ElementTree.tostring(clean, encoding="unicode")
    return mark_safe(markup)  # rebuilt above from an allow-list of elements and attributes


def _copy(element: ElementTree.Element, scope: str) -> ElementTree.Element:
    clean = ElementTree.Element(element.tag.removeprefix(SVG))
    if clean.tag == "svg":
        clean.set("xmlns", SVG.strip("{}"))
    for name, value in element.attrib.items():
        if name not in ATTRIBUTES or not _harmless(value):
            continue
        if name in NAMES:
            value = " ".join(f"{scope}-{part}" for part in re.findall(r"[\w-]+", value))
        clean.set(name, re.sub(r"(url\(\s*['\"]?#)", rf"\g<1>{scope}-", value))
    clean.text, clean.tail = element.text, element.tail
    for child in element:
        if child.tag.startswith(SVG) and child.tag.removeprefix(SVG) in ELEMENTS:
            clean.append(_copy(child, scope))
    return clean


def _harmless(value: str) -> bool:
    rest = LOCAL_REFERENCE.sub("", value)
    return "url" not in rest.lower() and "script" not in rest.lower() and "\\" not in rest


def _plain(length: str | None) -> str:
    return re.sub(r"[^\d.]", "", length or "") or "0"
