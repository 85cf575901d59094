"""What was found in the files of a model as rules and results of SARIF: of a local check, and of a report card."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class Row:
    """One finding. Its rule is the code of the reason; `note/…` for what is no reason to refuse the files."""

    rule: str
    path: str  # relative to the model's folder; "" for the folder
    message: str

    @property
    def refusing(self) -> bool:
        return not self.rule.startswith("note/")


def rule(name: str) -> dict[str, Any]:
    refusing = not name.startswith("note/")
    words = name.removeprefix("note/").replace("_", " ")
    return {
        "id": name,
        "shortDescription": {"text": f"{'Refused' if refusing else 'Noted'}: {words}"},
        "defaultConfiguration": {"level": "error" if refusing else "note"},
        "properties": {"tags": ["security"]},
    }


def result(row: Row, rules: list[str], folder: Path) -> dict[str, Any]:
    """A result at its file in `folder`. The fingerprint depends on rule and path alone; of a note, on its text too."""
    place: dict[str, Any] = {"artifactLocation": {"uri": uri(folder / row.path if row.path else folder)}}
    if row.path:
        place["region"] = {"startLine": 1}
    identity = "\n".join([row.rule, row.path, "" if row.refusing else row.message])
    return {
        "ruleId": row.rule,
        "ruleIndex": rules.index(row.rule),
        # SARIF allows a level other than none with kind fail only
        "kind": "fail" if row.refusing else "informational",
        "level": "error" if row.refusing else "none",
        "message": {"text": row.message},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {
            "check/v1": hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
        },
    }


def uri(path: Path) -> str:
    """As it was given, so that a path relative to the repository stays one; the bytes of hostile names are escaped."""
    text = path.as_posix()
    return ("file://" if path.is_absolute() else "") + quote(text.encode("utf-8", "surrogateescape"))
