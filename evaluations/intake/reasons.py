"""Why a folder of model files is refused, and what else is worth knowing of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Why a folder is refused. `code` is stable; `path` is relative, "" for the whole folder."""

    code: str
    path: str
    message: str


@dataclass(frozen=True)
class Note:
    """What people should know of a folder, refused or not: its licence, what could not be looked at."""

    code: str
    path: str
    message: str
