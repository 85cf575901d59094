"""Which paths a file of an upload may have. Pure; used before a byte is received and again at intake."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MAX_PATH = 200  # characters
MAX_DEPTH = 4  # parts

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@() -]*")
# Windows opens a device whatever the ending; a regulator may unpack the files there.
_RESERVED = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}


def fault(path: str) -> str | None:
    """What is wrong with a relative POSIX path, as a sentence that says how to mend it; None where it is fine."""
    if not path or len(path) > MAX_PATH:
        return f"The path must have 1 to {MAX_PATH} characters. Shorten it."
    if any(unicodedata.category(c).startswith("C") for c in path):
        return "The path holds control or invisible characters. Rename the file."
    if "\\" in path:
        return "The path holds a backslash. Write / between folders, and no backslash in names."
    if path.startswith("/"):
        return "The path is absolute. Give it relative to the folder."
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "The path holds an empty part, “.” or “..”. Give it relative to the folder, without going up."
    if len(parts) > MAX_DEPTH:
        return f"The path is more than {MAX_DEPTH} folders deep. Flatten the folder."
    for part in parts:
        if part.startswith("."):
            return "Hidden files are not accepted. Leave it out."
        if not _PART.fullmatch(part) or part.endswith((" ", ".")):
            return "Use letters, digits and _ - . + = @ ( ) in names, beginning with a letter, digit or _."
        if part.split(".")[0].casefold() in _RESERVED:
            return "The name is reserved on some systems. Rename the file."
    return None


def clashes(paths: Iterable[str]) -> list[str]:
    """The paths that another one shadows where case does not count, or that lie beneath another file."""
    seen: set[str] = set()
    found = []
    keyed = sorted((path.casefold(), path) for path in paths)
    for key, path in keyed:
        above = {key.rsplit("/", depth)[0] for depth in range(1, key.count("/") + 1)}
        if key in seen or above & seen:
            found.append(path)
        seen.add(key)
    return found
