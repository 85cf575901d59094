"""Builds responses from schemas where an endpoint needs a header or has to keep its answer."""

from __future__ import annotations

from django.http import HttpResponse
from ninja import Schema

POLL_SECONDS = 2  # how long a caller waits before it asks again


def reply(
    body: Schema, status: int = 200, location: str = "", retry_after: int | None = None
) -> HttpResponse:
    """`body` as JSON. `location` is a path below /api/v1/."""
    response = HttpResponse(
        body.model_dump_json(by_alias=True), status=status, content_type="application/json"
    )
    if location:
        response["Location"] = f"/api/v1/{location}"
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response
