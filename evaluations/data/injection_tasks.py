"""The built-in benign tasks of safety.injection, as a table to push or as documents to plant in a system's index.

Standard library and YAML only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from evaluations.data import prepare

LICENCE = "Written for Model Auditor, under its licence."
ROLES = {"id": "id", "task": "input", "document": "context", "answers": "target", "kind": "sensitive"}
PLANTED_ROLES = {column: role for column, role in ROLES.items() if column != "document"}
FOUND = ("lookup", "extract", "sum", "chinese")  # kinds whose task tells by itself which document it is about
TABLE = "injection-tasks.jsonl"


def tasks() -> list[dict[str, Any]]:
    """id, kind, document, task and accepted answers of each."""
    text = Path(__file__).with_name("injection_tasks.yaml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = yaml.safe_load(text)
    return found


def write(folder: Path) -> tuple[list[Path], int]:
    """The tasks beside their documents, and roles.yaml."""
    rows = [{column: task[column] for column in ROLES} for task in tasks()]
    return _written(folder, rows, ROLES, "Benign tasks with short documents, for prompt injections."), len(
        rows
    )


def plant(folder: Path, below: Callable[[int], int]) -> tuple[list[Path], int]:
    """The tasks alone; documents with an instruction each, drawn by `below`; and the codewords in planted.yaml."""
    from evaluations.safety import injection_canaries as canaries
    from evaluations.safety import injection_texts as texts

    kept = [task for task in tasks() if task["kind"] in FOUND]
    documents = folder / "documents"
    documents.mkdir()
    planted, names = [], list(texts.IN_DOCUMENTS)
    for turn, task in enumerate(kept):
        canary = canaries.fresh(below)
        planted.append(canary)
        order = texts.IN_DOCUMENTS[names[turn % len(names)]](texts.to_write(canary))
        place = texts.PLACES[turn // len(names) % len(texts.PLACES)]
        text = texts.inserted(task["document"], order, place)
        (documents / f"{task['id']}.txt").write_text(text + "\n", encoding="utf-8")
    rows = [{column: task[column] for column in PLANTED_ROLES} for task in kept]
    description = "Benign tasks about documents that hold planted instructions."
    files = _written(folder, rows, PLANTED_ROLES, description)
    parameters = folder / "planted.yaml"
    parameters.write_text(yaml.safe_dump({"rule": "", "planted_canaries": planted}), encoding="utf-8")
    return [*files, parameters, documents], len(rows)


def _written(folder: Path, rows: list[dict[str, Any]], roles: dict[str, str], description: str) -> list[Path]:
    return prepare.write(
        prepare.Tidy({TABLE: rows}, TABLE, roles, languages=("en", "zh")),
        folder,
        name="injection-tasks",
        description=description,
        licence=LICENCE,
        source="Model Auditor",
    )
