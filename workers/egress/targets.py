"""Joins a path that the sandbox asks for to the registered address, without any room for interpretation."""

from __future__ import annotations

import re
from urllib.parse import unquote

from workers.egress.addresses import EgressRefused

LONGEST = 2000  # characters
_PLAIN = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def target(base_path: str, path: str) -> bytes:
    """The request target below `base_path`: "/v1" and "chat/completions" give b"/v1/chat/completions".

    The host and the port are never in it: they are the registered ones, whatever `path` holds.
    """
    if len(path) > LONGEST or not _PLAIN.fullmatch(path) or _BAD_ESCAPE.search(path):
        raise _refused(path, "it holds characters that no path has")
    place, question, query = path.partition("?")
    if "?" in query:
        raise _refused(path, "it holds two question marks")
    decoded = _decoded(place)
    if decoded.startswith("//") or "://" in decoded:
        raise _refused(path, "it names another host")
    segments = decoded.removeprefix("/").split("/")
    if "@" in segments[0]:
        raise _refused(path, "it begins like a user and a host")
    if decoded.count("/") != place.count("/") or not decoded.isprintable() or "\\" in decoded:
        raise _refused(path, "it hides characters behind % signs")
    if "" in segments[:-1] or any(segment in (".", "..") for segment in segments):
        raise _refused(path, "it leads out of the registered address")
    joined = f"{base_path.rstrip('/')}/{place.removeprefix('/')}" if place else base_path or "/"
    return f"{joined}{question}{query}".encode("ascii")


def _decoded(place: str) -> str:
    """With its escapes resolved, also those that were escaped again."""
    for _ in range(5):
        try:
            resolved = unquote(place, errors="strict")
        except UnicodeDecodeError as error:
            raise _refused(place, "its % signs stand for no text") from error
        if resolved == place:
            return place
        place = resolved
    raise _refused(place, "it hides characters behind % signs")


def _refused(path: str, why: str) -> EgressRefused:
    return EgressRefused(
        f"The path {path[:80]!r} is refused: {why}. Give a path below the registered address."
    )
