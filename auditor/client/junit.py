"""A report card as JUnit XML: a suite per area, a case per control. For the test tab of a pipeline."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from auditor.client.render import interval, slice_words
from auditor.reports.sentences import number

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold


def junit(cards: Sequence[dict[str, Any]]) -> str:
    """A required control that fails is a failure, one that cannot be told or was not assessed an error."""
    root = ElementTree.Element("testsuites", name="Model Auditor")
    for card in cards:
        for area in dict.fromkeys(control["area"] for control in card["controls"]):
            _suite(root, card, area)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ElementTree.Element, card: dict[str, Any], area: str) -> None:
    members = [control for control in card["controls"] if control["area"] == area]
    kinds = [_kind(control) for control in members]
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=_clean(area),
        tests=str(len(members)),
        failures=str(kinds.count("failure")),
        errors=str(kinds.count("error")),
        skipped=str(kinds.count("skipped")),
        timestamp=card["issued_at"].removesuffix("Z"),
    )
    properties = ElementTree.SubElement(suite, "properties")
    model = card["model"]
    facts = {
        "model": f"{model['name']}@{model['version']}",
        "model_digest": model["digest"],
        "card": card["id"],
    }
    for name, value in facts.items():
        ElementTree.SubElement(properties, "property", name=name, value=_clean(value))
    for control in members:
        _case(suite, control, card["policy"]["name"])


def _case(suite: ElementTree.Element, control: dict[str, Any], policy: str) -> None:
    name = f"{control['control']} {control['title']}{slice_words(control['slice'])}"
    case = ElementTree.SubElement(
        suite, "testcase", classname=_clean(f"{policy}.{control['area']}"), name=_clean(name)
    )
    text = (
        f"{control['metric']}{slice_words(control['slice'])} = {number(control['value'], control['unit'])}, "
        f"95 % interval {interval(control)}, limit {control['comparison']} "
        f"{number(control['limit'], control['unit'])}, n = {control['n']}"
    )
    if kind := _kind(control):
        said = ElementTree.SubElement(case, kind, message=_clean(control["reason"] or control["outcome"]))
        if kind != "skipped":
            said.set("type", control["outcome"])
            said.text = _clean(f"{text}\n{control['plain']}")
    ElementTree.SubElement(case, "system-out").text = _clean(text)


def _kind(control: dict[str, Any]) -> str:
    outcome = control["outcome"]
    if outcome == "pass":
        return ""
    if outcome == "not_applicable" or not control["required"]:
        return "skipped"
    return "failure" if outcome == "fail" else "error"


def _clean(text: Any) -> str:
    return _FORBIDDEN.sub("\ufffd", str(text))
