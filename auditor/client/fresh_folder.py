"""Fills a folder that must be new or empty: all of its files appear together, or none does."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from auditor.client.exits import ClientError


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Yields a folder to write to; its files move into `folder` at the end, and are removed where an error ends it."""
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ClientError(f"{folder} is there and not empty. Give --to a new folder: nothing is overwritten.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    made.mkdir()
    try:
        yield made
        folder.mkdir(exist_ok=True)
        for path in sorted(made.iterdir()):
            path.rename(folder / path.name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
