"""What is worth knowing of a folder of model files though it is no reason to refuse it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

from evaluations.intake import licence, template_trial
from evaluations.intake.reasons import Note

_READ = 256 * 1024  # bytes of a README, LICENSE or configuration
_README = re.compile(r"(?i)(readme|model_?card)(\.(md|txt))?")
_LICENCE = re.compile(r"(?i)licen[cs]e(\.(md|txt))?")
_ELSEWHERE = re.compile(
    r'"(\w{1,40}_file)"\s*:\s*"(/[^"]{0,300}|[A-Za-z]:[^"]{0,300}|[^"]{0,100}\.\./[^"]{0,200})"'
)


def notes_on(folder: Path, files: Collection[str], refused: Collection[str]) -> tuple[Note, ...]:
    """Notes on the sound ones among `files`; those `refused` are not read again."""
    sound = sorted(set(files) - set(refused))
    return (
        _licence_note(find_licence(folder, sound)),
        *_paths_elsewhere(folder, sound),
        *_templates_not_rendered(folder, sound),
    )


def find_licence(folder: Path, files: Collection[str]) -> licence.Licence | None:
    """The first of: README's front matter, a licence file, `license` in config.json. At the top alone."""
    found: licence.Licence | None = None
    for path in sorted(files):
        if found is None and _README.fullmatch(path):
            found = licence.of_readme(_text(folder / path), path)
    for path in sorted(files):
        if found is None and _LICENCE.fullmatch(path):
            found = licence.of_text(_text(folder / path), path)
    if found is None and "config.json" in files:
        try:
            config = json.loads(_text(folder / "config.json"))
        except (ValueError, RecursionError):  # longer than what was read: no configuration of a model is
            return None
        found = licence.named(config.get("license"), "config.json") if isinstance(config, dict) else None
    return found


def _licence_note(found: licence.Licence | None) -> Note:
    if found is None:
        return Note(
            "no_licence",
            "",
            "No licence is named. Say it in README.md (license: …) or in LICENSE.",
        )
    if not found.spdx:
        return Note(
            "licence_unknown", found.path, f"The licence is {found.name!r}, which has no SPDX name here."
        )
    return Note("licence", found.path, f"The licence is {found.spdx}.")


def _paths_elsewhere(folder: Path, files: Collection[str]) -> list[Note]:
    """Paths on another computer that tokenizers keep when they are saved. Nothing follows them."""
    notes = []
    for path in sorted({"tokenizer_config.json", "special_tokens_map.json", "config.json"} & set(files)):
        for key, value in _ELSEWHERE.findall(_text(folder / path))[:5]:
            notes.append(
                Note(
                    "path_elsewhere",
                    path,
                    f"{key} names {value[:80]!r} outside the folder. It is not followed.",
                )
            )
    return notes


def _templates_not_rendered(folder: Path, files: Collection[str]) -> list[Note]:
    if template_trial.available():
        return []
    return [
        Note(
            "template_not_rendered",
            path,
            "The chat template was read only: Jinja is not installed to try it.",
        )
        for path in sorted(files)
        if path.endswith(".jinja") or (path.endswith(".json") and '"chat_template"' in _text(folder / path))
    ]


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_READ).decode("utf-8", "replace")
