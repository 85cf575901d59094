"""Who calls the API: a token in the Authorization header, or a signed-in person with a CSRF token."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware
from ninja.security import APIKeyCookie, HttpBearer

from auditor.accounts.models import User
from auditor.accounts.services import authenticate_token, principal_of
from auditor.core.access import Principal
from auditor.core.errors import DomainError, forbidden


class Caller(HttpRequest):
    """A request that has passed authentication, for the type checker."""

    auth: Principal


class _CsrfCheck(CsrfViewMiddleware):
    """Django's check, without the page that it shows to people."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponseForbidden:
        return HttpResponseForbidden(reason)


class TokenAuth(HttpBearer):
    """`Authorization: Bearer audp_…`."""

    def authenticate(self, request: HttpRequest, token: str) -> Principal:
        return authenticate_token(token.strip(), request.META.get("REMOTE_ADDR", ""))


class PersonAuth(APIKeyCookie):
    """The session cookie. Requests that change something carry the CSRF token as well."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Principal | None:
        if request.headers.get("Authorization"):
            raise DomainError(
                "invalid_token", "Write the header as `Authorization: Bearer audp_…`.", status=401
            )  # a broken header must not fall back to a session that happens to be there
        return self.authenticate(request, None) if request.user.is_authenticated else None

    def authenticate(self, request: HttpRequest, key: str | None) -> Principal:
        check = _CsrfCheck(lambda _: HttpResponse())
        request.csrf_processing_done = False  # type: ignore[attr-defined]  # ninja's views are exempt until here
        check.process_request(request)
        if check.process_view(request, HttpResponse, (), {}) is not None:
            raise forbidden("The CSRF token is missing or wrong. Send it as the header X-CSRFToken.")
        assert isinstance(request.user, User)
        return principal_of(request.user)
