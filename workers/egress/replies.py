"""Turns what a service answered into a reply for the sandbox: capped, without headers, without the credential."""

from __future__ import annotations

import json
from typing import Any

from evaluations.engine.transport import retry_after_of

LARGEST = 16 * 2**20  # bytes of a body
LONGEST_PAUSE = 3600.0  # seconds that a Retry-After is believed
REMOVED = "[credential removed]"
SHORTEST_SECRET = 12  # characters: what is shorter guards nothing, and may be a word of an answer ("EMPTY")

Headers = list[tuple[bytes, bytes]]


def header(headers: Headers, name: bytes) -> str:
    """The first value of a header, "" where there is none."""
    return next((value.decode("latin-1").strip() for key, value in headers if key.lower() == name), "")


def retry_after(headers: Headers) -> float | None:
    """Seconds that the service asks to wait."""
    named = {name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, value in headers}
    seconds = retry_after_of(named)
    return None if seconds is None else min(LONGEST_PAUSE, seconds)


def body(content: bytes, secret: str) -> Any:
    """The JSON of a body, or its text where it is none. A service that echoes its headers tells no secret."""
    text = content.decode("utf-8", "replace")
    try:
        written = json.dumps(json.loads(text), ensure_ascii=False)  # escapes are resolved
        # half of a surrogate pair may be written in JSON, and in no frame
        return json.loads(without(written, secret).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return without(text, secret)


def without(text: str, secret: str) -> str:
    """The text with the secret cut out, also where it is quoted as JSON and errors quote."""
    if len(secret) < SHORTEST_SECRET:
        return text
    quoted = secret.replace("\\", "\\\\")
    for written in (quoted.replace("'", "\\'"), quoted.replace('"', '\\"'), quoted, secret):
        text = text.replace(written, REMOVED)
    return text


def tokens(answer: Any) -> tuple[int, int] | None:
    """(read, generated) as an OpenAI-compatible service counts them; None where it does not."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict):
        return None
    if not usage.keys() & {"prompt_tokens", "completion_tokens"}:  # it counts nothing, or in other words
        return None
    counts = [usage.get(name, 0) for name in ("prompt_tokens", "completion_tokens")]
    if not all(isinstance(count, int) and 0 <= count < 10**9 for count in counts):
        return None
    return int(counts[0]), int(counts[1])
