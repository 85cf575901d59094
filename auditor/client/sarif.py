"""A report card as SARIF 2.1.0: one result per control that does not pass. For code scanning pages."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from auditor.client import sarif_files
from auditor.client.render import interval, slice_words
from auditor.client.sarif_files import Row
from auditor.reports.sentences import number

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}


def sarif(
    cards: Sequence[dict[str, Any]], location: str, service: str, folder: Path | None = None
) -> dict[str, Any]:
    """The log, with one run per card. `location` is the file, relative to the repository, that results point at.
    What was found in the model's files points at these, in `folder` (default: the model's name).

    A rule's id is the control's id, and the fingerprint of a result depends on the model's name, the
    policy and the control alone: the same problem in the next version is the same alert.
    """
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [_run(card, location, service, folder) for card in cards],
    }


def _run(card: dict[str, Any], location: str, service: str, folder: Path | None) -> dict[str, Any]:
    rules = {control["control"]: _rule(control) for control in card["controls"]}
    rows = list(_found_in_files(card))
    rules |= {row.rule: sarif_files.rule(row.rule) for row in rows}
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
        "results": [
            *(_result(control, card, order, location) for control in problems),
            *(sarif_files.result(row, order, folder or Path(card["model"]["name"])) for row in rows),
        ],
        "properties": {
            "card": card["id"],
            "verdict": card["verdict"],
            "modelDigest": card["model"]["digest"],
        },
    }


def _found_in_files(card: dict[str, Any]) -> Iterator[Row]:
    """What the last attempt at security.artefact found: reasons to refuse files, and what scanners say of pickles."""
    last = {run["item"]: run for run in card["runs"] if run.get("evaluation") == "security.artefact"}
    charts = [chart for run in last.values() for chart in run.get("charts", ())]
    tables = [chart["rows"] for chart in charts if chart["name"] == "findings"]
    for kind, code, path, message in itertools.chain.from_iterable(tables):
        if kind == "Scanner":
            yield Row("note/pickle_scan", path, message)
        elif kind != "Note":
            yield Row(code, path, message)


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
