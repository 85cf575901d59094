"""Fills a folder that must be new or empty: all of its files appear together, or none does."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from auditor.client.exits import ClientError


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Yields a folder to write to; its files move into `folder` at the end, and are removed where an error ends it."""
    there = folder.exists()
    if there and (not folder.is_dir() or any(folder.iterdir())):
        raise _taken(folder)
    made = folder / f".part-{secrets.token_hex(4)}"  # inside, since `folder` may be a disk of its own
    made.mkdir(parents=True)
    try:
        yield made
        if any(
            path != made for path in folder.iterdir()
        ):  # another command was quicker: its coins are not ours
            raise _taken(folder)
        for path in sorted(made.iterdir()):
            path.rename(folder / path.name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if not there:
            with suppress(OSError):  # it holds the files
                folder.rmdir()


def _taken(folder: Path) -> ClientError:
    return ClientError(f"{folder} is there and not empty. Give --to a new folder: nothing is overwritten.")
