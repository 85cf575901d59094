"""Names of columns and features as slices, charts and records hold them."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 120  # characters; the service keeps a slice of 200
LONGEST_SHORT = LONGEST + 20  # with the place behind it


def short(name: str, place: int) -> str:
    """A long name is cut, and told from others that begin alike by its place."""
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}… ({place + 1})"


def shorts(names: Sequence[str]) -> list[str]:
    return [short(name, place) for place, name in enumerate(names)]


def visible(token: str) -> str:
    """A token so that one can see what it is made of: spaces at its ends and signs that print nothing are written out.

    Applied twice it changes nothing more.
    """
    if not token:
        return "(empty)"
    written = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in token[:LONGEST])[:LONGEST]
    ahead = written[: len(written) - len(written.lstrip(" "))]
    inner = written.strip(" ")
    return "␣" * len(ahead) + inner + "␣" * (len(written) - len(ahead) - len(inner))
