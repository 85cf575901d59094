"""Who calls the API: a token in the Authorization header, or a signed-in person with a CSRF token."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from auditor.accounts.models import User
from auditor.accounts.services import authenticate_token, principal_of
from auditor.core.access import Principal
from auditor.core.errors import DomainError, forbidden


class Caller(HttpRequest):
    """A request that has passed authentication, for the type checker."""

    auth: Principal


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
        if check_csrf(request) is not None:
            raise forbidden("The CSRF token is missing or wrong. Send it as the header X-CSRFToken.")
        assert isinstance(request.user, User)
        return principal_of(request.user)
