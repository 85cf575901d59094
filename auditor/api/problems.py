"""Every error of the API as problem+json (RFC 9457): domain errors, invalid input, and what nobody expected."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import DataError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from auditor.core.errors import DomainError, Problem
from auditor.core.middleware import PROBLEM
from auditor.core.problems import document

log = logging.getLogger(__name__)
_CODES = {400: "bad_request", 401: "not_signed_in", 403: "forbidden", 404: "not_found"}


def respond(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The response that tells of `error`."""
    response = JsonResponse(
        document(error, request.META.get("REQUEST_ID", "")), status=error.status, content_type=PROBLEM
    )
    if error.status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="model-auditor"'
    if error.status in (429, 503):
        response["Retry-After"] = "10"
    return response


def install(api: NinjaAPI) -> None:
    """Register the handlers."""
    handlers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
        DomainError: respond,
        ValidationError: _invalid,
        AuthenticationError: _not_signed_in,
        HttpError: _http_error,
        Http404: _no_such_address,
        RequestDataTooBig: _too_big,
        UnreadablePostError: _cut_off,
        DataError: _not_storable,
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Faults of the body point into it; those of a query, path or header name where they are."""
    problems = [
        Problem(_pointer(e["loc"]), str(e["msg"]).removeprefix("Value error, ")) for e in error.errors
    ]
    first = problems[0]
    message = f"The request is not valid: {first.pointer or 'body'}: {first.detail}."
    return respond(request, DomainError("invalid_input", message, errors=problems))


def _pointer(location: tuple[Any, ...]) -> str:
    parts = list(location[2:]) if location and location[0] == "body" else list(location)
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _not_signed_in(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    message = "Send an API token as `Authorization: Bearer audp_…`, or sign in."
    return respond(request, DomainError("not_signed_in", message, status=401))


def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    code = _CODES.get(error.status_code, "error")
    return respond(request, DomainError(code, f"{error.message.rstrip('.')}.", status=error.status_code))


def _no_such_address(request: HttpRequest, error: Http404) -> HttpResponse:
    return respond(request, DomainError("not_found", "There is nothing at this address.", status=404))


def _too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    message = "The body is larger than 2 MiB. Send files through an upload."
    return respond(request, DomainError("body_too_large", message, status=413))


def _cut_off(request: HttpRequest, error: UnreadablePostError) -> HttpResponse:
    message = "The connection broke while the body was sent. Ask for the offsets of the upload and go on from there."
    return respond(request, DomainError("body_cut_off", message, status=400))


def _not_storable(request: HttpRequest, error: DataError) -> HttpResponse:
    """PostgreSQL takes no NUL in a text, not even to look for it."""
    log.warning("request %s: %s", request.META.get("REQUEST_ID", ""), error)
    message = "The request holds a text with a NUL character, or a number that is too large. Leave it out."
    return respond(request, DomainError("invalid_input", message))


def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("request %s failed", request.META.get("REQUEST_ID", ""), exc_info=error)
    message = "Something went wrong here. Tell the administrator the request id."
    return respond(request, DomainError("internal_error", message, status=500))
