"""Why a folder of model files is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Why a folder is refused. `code` is stable; `path` is relative, "" for the whole folder."""

    code: str
    path: str
    message: str
