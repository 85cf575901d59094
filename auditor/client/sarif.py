"""A report card as SARIF 2.1.0: one result per control that does not pass. For code scanning pages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from auditor.client.render import interval, slice_words
from auditor.reports.sentences import number

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}


def sarif(cards: Sequence[dict[str, Any]], location: str, service: str) -> dict[str, Any]:
    """The log, with one run per card. `location` is the file, relative to the repository, that results point at.

    A rule's id is the control's id, and the fingerprint of a result depends on the model's name, the
    policy and the control alone: the same problem in the next version is the same alert.
    """
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(card, location, service) for card in cards]}


def _run(card: dict[str, Any], location: str, service: str) -> dict[str, Any]:
    rules = {control["control"]: _rule(control) for control in card["controls"]}
    order = list(rules)
    problems = [c for c in card["controls"] if c["outcome"] in ("fail", "inconclusive", "not_assessed")]
    driver = {
        "name": "Model Auditor",
        "version": card["software"]["version"],
        "semanticVersion": card["software"]["version"],
        "informationUri": service,
        "rules": list(rules.values()),
    }
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"model-auditor/{card['model']['name']}/{card['policy']['name']}/"},
        "results": [_result(control, card, order, location) for control in problems],
        "properties": {
            "card": card["id"],
            "verdict": card["verdict"],
            "modelDigest": card["model"]["digest"],
        },
    }


def _rule(control: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": control["control"],
        "name": control["metric"],
        "shortDescription": {"text": control["title"]},
        "fullDescription": {
            "text": f"{control['metric_title']} {control['comparison']} {number(control['limit'], control['unit'])}"
        },
        "help": {"text": f"{control['formula']}\n{control['reference']}".strip() or control["title"]},
        "defaultConfiguration": {"level": LEVELS[control["severity"]]},
        "properties": {"area": control["area"], "tags": [control["area"]]},
    }


def _result(control: dict[str, Any], card: dict[str, Any], order: list[str], location: str) -> dict[str, Any]:
    identity = "\n".join(
        [card["model"]["name"], card["policy"]["name"], control["control"], control["slice"]]
    )
    text = (
        f"{control['title']}{slice_words(control['slice'])}: {control['reason']} "
        f"Value {number(control['value'], control['unit'])}, 95 % interval {interval(control)}, limit "
        f"{control['comparison']} {number(control['limit'], control['unit'])}, n = {control['n']}."
    )
    failed = control["outcome"] == "fail"
    return {
        "ruleId": control["control"],
        "ruleIndex": order.index(control["control"]),
        "kind": "fail" if failed else "open",
        # SARIF allows a level other than none with kind fail only
        "level": (LEVELS[control["severity"]] if control["required"] else "note") if failed else "none",
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": location}, "region": {"startLine": 1}},
                "logicalLocations": [
                    {"name": f"{card['model']['name']}@{card['model']['version']}", "kind": "object"}
                ],
            }
        ],
        "partialFingerprints": {"control/v1": hashlib.sha256(identity.encode()).hexdigest()},
        "properties": {"outcome": control["outcome"], "slice": control["slice"]},
    }
