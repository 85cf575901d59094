"""The lexical resources that attacks on texts read: where they are, and that they are the ones meant."""

from __future__ import annotations

import functools
from pathlib import Path

from evaluations.data import fetch
from evaluations.spec import EvaluationError


@functools.cache
def demand(name: str, resources: Path) -> Path:
    """The folder with the files of a catalogue entry, whose numbers depend on these very files.

    Raises `resource_missing` or `resource_changed`, which name the command that mends it.
    """
    folder = resources / fetch.LEXICAL[name]
    if fetch.present(name, folder):
        return folder
    title = fetch.entry(name).title
    if all((folder / file.name).is_file() for file in fetch.entry(name).files):
        raise EvaluationError(
            "resource_changed",
            f"The files of “{title}” in {folder} are not the expected ones. Delete them and run `make setup`.",
        )
    raise EvaluationError(
        "resource_missing",
        f"“{title}” is not in {folder}. Fetch the lexical resources with `make setup`.",
    )
