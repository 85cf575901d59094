"""The pages for what went wrong."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import requires_csrf_token


def _page(request: HttpRequest, name: str, status: int) -> HttpResponse:
    request.user.is_authenticated  # noqa: B018 -- fetched here: the page's header shows it, and templates run no query
    return render(request, f"errors/{name}.html", status=status)


@requires_csrf_token
def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, "400", 400)


@requires_csrf_token
def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, "403", 403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form was sent without its token: an old tab, or blocked cookies."""
    return _page(request, "csrf", 403)


@requires_csrf_token
def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, "404", 404)


@requires_csrf_token
def server_error(request: HttpRequest) -> HttpResponse:
    """Stands on its own: neither the database nor the session may be needed to say that something broke."""
    return render(request, "errors/500.html", status=500)
