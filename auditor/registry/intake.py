"""Decides whether a folder of model files is accepted, before anything loads them. Pure, and light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auditor.registry.layouts import check_set
from auditor.registry.model_files import check_file
from auditor.registry.model_folder import MAX_BYTES, MAX_FILES, MAX_REASONS, list_files
from auditor.registry.model_notes import notes_on
from auditor.registry.reasons import Note, Reason
from evaluations.spec import Modality, ModelFormat

__all__ = ["MAX_BYTES", "MAX_FILES", "Accepted", "Note", "Reason", "Refused", "inspect_model"]


@dataclass(frozen=True)
class Accepted:
    """A folder that may be stored. `files` are relative POSIX paths, `size` is their total in bytes."""

    format: ModelFormat
    files: tuple[str, ...]
    size: int
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A folder that may not be stored, with every reason that was found (50 at most)."""

    reasons: tuple[Reason, ...]
    notes: tuple[Note, ...] = ()


def inspect_model(folder: Path, modality: Modality | str) -> Accepted | Refused:
    """Whether `folder` holds exactly one model of a kind that `modality` can be.

    Every file is read by its content; all reasons to refuse are given together (50 at most).
    """
    modality = Modality(modality)
    reasons: list[Reason] = []
    files = list_files(folder, modality, reasons)
    if any(not reason.path for reason in reasons):  # missing, or too large to be read
        return Refused(tuple(reasons[:MAX_REASONS]))
    models: dict[str, ModelFormat] = {}
    for path in files if len(reasons) < MAX_REASONS else ():
        found = check_file(folder, path, modality)
        if isinstance(found, Reason):
            reasons.append(found)
        elif found is not None:
            models[path] = found
    if not reasons:
        reasons = check_set(folder, set(files), models, modality)
    notes = notes_on(folder, files, {reason.path for reason in reasons})
    if reasons:
        return Refused(tuple(reasons[:MAX_REASONS]), notes)
    return Accepted(next(iter(models.values())), tuple(sorted(files)), sum(files.values()), notes)
