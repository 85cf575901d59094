"""security.artefact: a table's model with a program and a secret beside it, and no licence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evaluations.models.files import Files
from evaluations.spec import Modality, ModelFormat, ModelRef
from tests import model_files
from tests.evaluations.cases import Case, everywhere


def planted(folder: Path) -> tuple[Any, ModelRef]:
    model_files.tabular(folder)
    (folder / "NOTICE").write_text("#!/bin/sh\n")
    (folder / "README.md").write_text("token: hf_" + "a" * 34)
    ref = ModelRef(path=str(folder), digest="files", modality=Modality.TABULAR, format=ModelFormat.SKOPS)
    return Files(ref), ref


FOUND = {"unsafe_files": 2.0, "pickles": 0.0, "hidden_code": 1.0, "secrets": 1.0, "outside_references": 0.0}

CASE = Case(
    model=planted,
    label=None,
    silent=None,
    known={"planted": (lambda table: None, everywhere({**FOUND, "accepted": 0.0, "licence_known": 0.0}))},
)
