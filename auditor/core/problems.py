"""A DomainError as an RFC 9457 problem document."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from auditor.core.errors import DomainError


def document(error: DomainError, request_id: str) -> dict[str, Any]:
    """The members of the problem: `code` is stable, `errors` point into the request's body."""
    try:
        title = HTTPStatus(error.status).phrase
    except ValueError:
        title = "Error"
    return {
        "type": "about:blank",
        "title": title,
        "status": error.status,
        "code": error.code,
        "detail": error.message,
        "errors": [{"pointer": e.pointer, "detail": e.detail} for e in error.errors],
        "request_id": request_id,
    }
