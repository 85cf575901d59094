"""Reads a folder that `auditor data coins|canaries|bank` wrote, and runs the audit that it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from evaluations import catalogue
from evaluations.data.digests import file_digest
from evaluations.spec import DataRef, EvaluationResult, Role
from tests.evaluations import make, tasks


def declared(folder: Path) -> DataRef:
    """The table that roles.yaml names, in the roles that it gives."""
    about = yaml.safe_load((folder / "roles.yaml").read_text(encoding="utf-8"))
    path = folder / about["file"]
    roles = {column: Role(role) for column, role in about["roles"].items()}
    return DataRef(path=str(path), digest=file_digest(path), format=path.suffix[1:], roles=roles)  # type: ignore[arg-type]  # one of the three


def measured(name: str, folder: Path, ref: DataRef, model: Any, **params: Any) -> EvaluationResult:
    kind = tasks.SPEAKER if isinstance(model, tasks.Speaking) else None
    asked = make.request(name, ref, kind, **params)
    return make.evaluate(catalogue.get(name), model, asked, folder)


def values(result: EvaluationResult) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in result.metrics}
