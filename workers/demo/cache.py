"""Where the demonstration keeps what it downloads and trains, so that the second run is short."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from auditor.core.embedded_places import state_dir
from evaluations.data import fetch


def demo_dir() -> Path:
    return state_dir() / "demo"


def fetched(name: str) -> Path:
    """The folder with the files of a catalogue entry, downloaded the first time unless set-up has them already."""
    if place := fetch.LEXICAL.get(name):
        lexical = Path(os.environ.get("AUDITOR_RESOURCES") or state_dir() / "resources") / place
        if fetch.present(name, lexical):
            return lexical
    folder = demo_dir() / "cache" / "fetched" / name
    fetch.fetch(name, folder)
    return folder


def made(name: str, causes: Iterable[Path], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, made again only where one of `causes` (its scripts and inputs) has changed."""
    digest = hashlib.sha256()
    for cause in causes:
        digest.update(cause.name.encode() + b"\0" + hashlib.sha256(cause.read_bytes()).digest())
    folder = demo_dir() / "cache" / f"{name}-{digest.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{name}-"))
    try:
        make(unfinished)
        unfinished.chmod(0o755)
        os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder
