"""Decides whether a folder of model files is accepted, before anything loads them. Pure, and light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from evaluations.intake.layouts import check_set
from evaluations.intake.model_files import check_file
from evaluations.intake.model_folder import MAX_BYTES, MAX_FILES, MAX_REASONS, list_files
from evaluations.intake.model_notes import notes_on
from evaluations.intake.reasons import Note, Reason
from evaluations.spec import Modality, ModelFormat

__all__ = ["MAX_BYTES", "MAX_FILES", "Accepted", "Note", "Reason", "Refused", "inspect_any", "inspect_model"]

Said = TypeVar("Said", Reason, Note)
_ANOTHER_KIND = {"wrong_format", "wrong_architecture", "no_model", "no_ids", "protocol"}


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
    files, models, reasons = _read(folder, modality)
    if not reasons:
        reasons = check_set(folder, set(files), models, modality)
    return _refused(folder, files, reasons) if reasons else _accepted(folder, files, models)


def inspect_any(folder: Path) -> dict[Modality, Accepted] | Refused:
    """Which kinds of model `folder` can be registered as; the files are read once."""
    guess = Modality.TEXT_CLASSIFIER if (folder / "config.json").exists() else Modality.TABULAR
    files, models, reasons = _read(folder, guess)
    if reasons:
        return _refused(folder, files, reasons)
    against = {modality: check_set(folder, set(files), models, modality) for modality in Modality}
    fitting = [modality for modality, found in against.items() if not found]
    if fitting:
        return dict.fromkeys(fitting, _accepted(folder, files, models))
    if not models:
        return _refused(folder, files, against[guess])
    # what is nearly one kind lacks a part; the others are of another kind altogether
    nearly = [found for found in against.values() if not {reason.code for reason in found} & _ANOTHER_KIND]
    message = (
        "This is no kind of model that can be registered. Name one with --modality to hear what it needs."
    )
    return _refused(folder, files, min(nearly, key=len, default=[Reason("no_kind", min(models), message)]))


def _read(folder: Path, modality: Modality) -> tuple[dict[str, int], dict[str, ModelFormat], list[Reason]]:
    """The files with their sizes, those that are a model with their format, and reasons against single files."""
    reasons: list[Reason] = []
    files = list_files(folder, modality, reasons)
    models: dict[str, ModelFormat] = {}
    if any(not reason.path for reason in reasons):  # missing, or too large to be read
        return {}, models, reasons
    for path in files if len(reasons) < MAX_REASONS else ():
        found = check_file(folder, path, modality)
        if isinstance(found, Reason):
            reasons.append(found)
        elif found is not None:
            models[path] = found
    return files, models, reasons


def _accepted(folder: Path, files: dict[str, int], models: dict[str, ModelFormat]) -> Accepted:
    notes = tuple(_shown(note) for note in notes_on(folder, files, ()))
    return Accepted(next(iter(models.values())), tuple(sorted(files)), sum(files.values()), notes)


def _refused(folder: Path, files: dict[str, int], reasons: list[Reason]) -> Refused:
    notes = notes_on(folder, files, {reason.path for reason in reasons}) if files else ()
    return Refused(
        tuple(_shown(reason) for reason in reasons[:MAX_REASONS]), tuple(_shown(note) for note in notes)
    )


def _shown(one: Said) -> Said:
    """Its message with nothing in it that a database, a terminal or a page takes for more than text.

    Messages quote the files: half of a character, or NUL, can be stored nowhere.
    """
    return replace(one, message="".join(c if c.isprintable() else "\ufffd" for c in one.message))
