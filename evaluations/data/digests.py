"""Digests of models and data sets on disk: the same that the service gives them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def file_digest(path: Path) -> str:
    """`sha256:` and the hex digest of a file's content."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def folder_digest(folder: Path) -> str:
    """The digest of a folder: that of the canonical JSON of its sorted [relative path, sha256] pairs."""
    pairs = sorted(
        [path.relative_to(folder).as_posix(), file_digest(path).removeprefix("sha256:")]
        for path in folder.rglob("*")
        if path.is_file()
    )
    content = json.dumps(pairs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def path_digest(path: Path) -> str:
    """The digest of a file, or of a folder."""
    return folder_digest(path) if path.is_dir() else file_digest(path)
