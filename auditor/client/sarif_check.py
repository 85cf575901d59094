"""What `auditor model check` found as SARIF 2.1.0: one result per reason, at the file that it is about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from auditor import __version__
from auditor.client.sarif import SCHEMA


def sarif_of_check(result: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The log. Its rules are the codes of the reasons; a result's fingerprint depends on code and path alone."""
    rows = list(_rows(result))
    rules = list(dict.fromkeys(rule for rule, *_ in rows))
    driver = {
        "name": "Model Auditor",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(rule) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"model-auditor/check/{_uri(folder)}/"},
        "columnKind": "unicodeCodePoints",
        "results": [_result(row, rules, folder) for row in rows],
        "properties": {key: result[key] for key in ("accepted", "modalities", "format", "digest")},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rows(result: dict[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """Rule, path, message, and whether it is a reason to refuse."""
    for reason in result["reasons"]:
        yield reason["code"], reason["path"], reason["message"], True
    for note in result["notes"]:
        yield f"note/{note['code']}", note["path"], note["message"], False
    for one in result["pickles"]:
        what = f"{one['engine']}: {one['severity']}: {one['message']}" if one["engine"] else one["message"]
        yield "note/pickle_scan", one["path"], what, False


def _rule(rule: str) -> dict[str, Any]:
    refusing = not rule.startswith("note/")
    words = rule.removeprefix("note/").replace("_", " ")
    return {
        "id": rule,
        "shortDescription": {"text": f"{'Refused' if refusing else 'Noted'}: {words}"},
        "defaultConfiguration": {"level": "error" if refusing else "note"},
        "properties": {"tags": ["security"]},
    }


def _result(row: tuple[str, str, str, bool], rules: list[str], folder: Path) -> dict[str, Any]:
    rule, path, message, refusing = row
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(folder / path if path else folder)}}
    if path:
        place["region"] = {"startLine": 1}
    identity = "\n".join([rule, path, "" if refusing else message])
    return {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        # SARIF allows a level other than none with kind fail only
        "kind": "fail" if refusing else "informational",
        "level": "error" if refusing else "none",
        "message": {"text": message},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {
            "check/v1": hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
        },
    }


def _uri(path: Path) -> str:
    """As it was given, so that a path relative to the repository stays one; the bytes of hostile names are escaped."""
    text = path.as_posix()
    return ("file://" if path.is_absolute() else "") + quote(text.encode("utf-8", "surrogateescape"))
