"""Who asks: the signed-in person as the principal that `core.access` knows."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from auditor.accounts.models import User
from auditor.accounts.services import principal_of
from auditor.core.access import Principal


class SignedIn(HttpRequest):
    """A request behind `login_required`, for the type checker."""

    user: User


def principal(request: HttpRequest) -> Principal:
    """The person behind the request; asked of the database once a request."""
    known: Principal | None = getattr(request, "_principal", None)
    if known is None:
        known = principal_of(cast(User, request.user))
        request._principal = known  # type: ignore[attr-defined]  # kept for the rest of this request
    return known
