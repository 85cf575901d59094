"""What `auditor model check` found as SARIF 2.1.0: one result per reason, at the file that it is about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auditor import __version__
from auditor.client import sarif_files
from auditor.client.sarif import SCHEMA
from auditor.client.sarif_files import Row


def sarif_of_check(result: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The log. Its rules are the codes of the reasons; a result's fingerprint depends on code and path alone."""
    rows = list(_rows(result))
    rules = list(dict.fromkeys(row.rule for row in rows))
    driver = {
        "name": "Model Auditor",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [sarif_files.rule(rule) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"model-auditor/check/{sarif_files.uri(folder)}/"},
        "columnKind": "unicodeCodePoints",
        "results": [sarif_files.result(row, rules, folder) for row in rows],
        "properties": {key: result[key] for key in ("accepted", "modalities", "format", "digest")},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rows(result: dict[str, Any]) -> Iterator[Row]:
    for reason in result["reasons"]:
        yield Row(reason["code"], reason["path"], reason["message"])
    for note in result["notes"]:
        yield Row(f"note/{note['code']}", note["path"], note["message"])
    for one in result["pickles"]:
        what = f"{one['engine']}: {one['severity']}: {one['message']}" if one["engine"] else one["message"]
        yield Row("note/pickle_scan", one["path"], what)
