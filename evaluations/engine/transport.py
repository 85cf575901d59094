"""How a model adapter reaches its endpoint: directly from a notebook, or over a pipe to the supervisor's broker.

A sandbox has no network and knows no credential. It writes frames to the socket it was started with, whose
descriptor the environment variable BROKER_FD names; the broker answers each by its number, in any order.
A frame is a length (4 bytes, big-endian) and JSON.
"""

from __future__ import annotations

import email.utils
import json
import math
import struct
import time
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from pydantic import Field

from evaluations.endpoints import PATH
from evaluations.spec import EvaluationError, Frozen

BROKER_FD = "AUDITOR_BROKER_FD"
LARGEST_FRAME = 32 * 2**20  # bytes
_LENGTH = struct.Struct(">I")

Refusal = Literal[
    "budget_reached",  # of requests, tokens or cost: what was answered is kept, a raised budget goes on from there
    "egress_refused",  # the address, or the data's egress class, forbids it
    "endpoint_unreachable",  # no connection, no name, no TLS
    "endpoint_timeout",
    "endpoint_reply_too_large",
]


class Ask(Frozen):
    """One request to the registered service. `path` is "" or begins with "/", and is appended to its address as
    registered, so that http://host/v1 and /chat/completions give http://host/v1/chat/completions. Headers, host
    and redirects are not ours.
    """

    id: int = Field(ge=0)
    method: Literal["GET", "POST"] = "POST"
    path: str = Field(max_length=500, pattern=PATH)
    body: Any = None  # JSON
    expected_tokens: int = 0  # read and generated, at most: what a token budget is held against beforehand


class Reply(Frozen):
    """What came back: an HTTP answer, or why there is none."""

    id: int
    status: int = 0  # HTTP status; 0 with a refusal
    retry_after: float | None = None  # seconds
    body: Any = None  # JSON, or the text of what is none
    refusal: Refusal | None = None
    message: str = ""


class Transport(Protocol):
    """The way to one endpoint. Safe to use from many tasks of one event loop, and made inside it."""

    async def send(self, ask: Ask) -> Reply: ...
    async def close(self) -> None: ...


def encode(message: Ask | Reply) -> bytes:
    """A frame. Raises EvaluationError `frame_too_large`."""
    content = message.model_dump_json().encode()
    if len(content) > LARGEST_FRAME:
        raise EvaluationError(
            "frame_too_large",
            f"A message to the endpoint is larger than {LARGEST_FRAME // 2**20} MiB. Ask for less.",
        )
    return _LENGTH.pack(len(content)) + content


def frame_length(head: bytes) -> int:
    """Bytes that follow a frame's 4-byte head. Raises ValueError for more than LARGEST_FRAME."""
    (length,) = _LENGTH.unpack(head)
    if length > LARGEST_FRAME:
        raise ValueError(f"a frame of {length} bytes is too large")
    return int(length)


def decode_ask(content: bytes) -> Ask:
    """Raises ValueError for what is no request."""
    return Ask.model_validate(json.loads(content))


def decode_reply(content: bytes) -> Reply:
    """Raises ValueError for what is no reply."""
    return Reply.model_validate(json.loads(content))


def retry_after_of(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that an answer asks to wait: Retry-After in seconds or as a date (RFC 9110, 10.2.3), or OpenAI's
    retry-after-ms. None where it asks for nothing that can be understood. `now` is in seconds since 1970.
    """
    milliseconds, told = _number(headers.get("retry-after-ms")), headers.get("retry-after")
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    if told is None:
        return None
    seconds = _number(told)
    if seconds is None:
        try:
            at = email.utils.parsedate_to_datetime(told).timestamp()
        except (ValueError, OverflowError):
            return None
        seconds = at - (time.time() if now is None else now)
    return max(0.0, seconds)


def _number(text: str | None) -> float | None:
    try:
        found = float(text or "")
    except ValueError:
        return None
    return found if math.isfinite(found) else None
