"""Gives each request an id, and turns what went wrong into a page for people or problem+json for machines."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template import TemplateDoesNotExist, loader
from django.utils.html import format_html

from auditor.core.errors import DomainError
from auditor.core.problems import document

API_PREFIX = "/api/"
PROBLEM = "application/problem+json"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{8,64}")
_WORDS = {
    400: ("bad_request", "The request is not well-formed."),
    403: ("forbidden", "The request was refused."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take this method."),
    500: ("internal_error", "Something went wrong here. Tell the administrator the request id."),
}


class DomainErrorMiddleware:
    """The one place where a DomainError of a page gets its status and its words."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        request.META["REQUEST_ID"] = request_id
        response = self.get_response(request)
        if request.path.startswith(API_PREFIX) and response.status_code >= 400:
            response = _as_problem(request, response)
        response["X-Request-ID"] = request_id
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, DomainError) or request.path.startswith(API_PREFIX):
            return None
        context = {"error": exception, "request_id": request.META["REQUEST_ID"]}
        try:
            content = loader.render_to_string("errors/problem.html", context, request)
        except TemplateDoesNotExist:  # the service must be able to say what is wrong without its pages
            content = format_html("<!doctype html><title>Problem</title><p>{}</p>", exception.message)
        return HttpResponse(content, status=exception.status)


def _as_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Answers that did not come from an endpoint (no such address, method, CSRF) say why in the API's own form."""
    if response.get("Content-Type", "").startswith(PROBLEM):
        return response
    status = response.status_code
    code, message = _WORDS.get(status, ("error", response.reason_phrase))
    body = document(DomainError(code, message, status), request.META["REQUEST_ID"])
    problem = JsonResponse(body, status=status, content_type=PROBLEM)
    if "Allow" in response:
        problem["Allow"] = response["Allow"]
    return problem
