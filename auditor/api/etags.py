"""Answers that a poller need not be sent again: ETag and If-None-Match."""

from __future__ import annotations

import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags

from auditor.core.canonical import canonical_json


def etag_of(value: Any) -> str:
    return f'"{hashlib.sha256(canonical_json(value)).hexdigest()[:32]}"'


def conditional(request: HttpRequest, etag: str, response: HttpResponse) -> HttpResponse:
    """`response` with its ETag, or 304 where the caller has it already (weak comparison, RFC 9110 13.1.2)."""
    known = {tag.removeprefix("W/") for tag in parse_etags(request.headers.get("If-None-Match", ""))}
    if etag in known or "*" in known:
        unchanged = HttpResponse(status=304)
        for name in ("Retry-After", "Cache-Control"):
            if name in response:
                unchanged[name] = response[name]
        response = unchanged
    response["ETag"] = etag
    response.setdefault("Cache-Control", "private, no-cache")
    return response
