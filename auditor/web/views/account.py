"""A person's own account: roles, and API tokens for the command line."""

from __future__ import annotations

from typing import cast

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from auditor.accounts.models import User
from auditor.accounts.services import issue_token, revoke_token
from auditor.core.errors import DomainError


@login_required
@require_safe
def detail(request: HttpRequest) -> HttpResponse:
    return _page(request)


def _page(request: HttpRequest, *, token: str = "", error: DomainError | None = None) -> HttpResponse:
    user = cast(User, request.user)
    context = {
        "memberships": list(user.memberships.select_related("team").order_by("team__name")),
        "tokens": list(user.tokens.filter(revoked_at=None).order_by("-created_at")),
        "now": timezone.now(),
        "token": token,
        "error": error,
    }
    response = render(request, "account/detail.html", context, status=error.status if error else 200)
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
@reauthentication_required  # type: ignore[untyped-decorator]  # allauth ships no types
def issue(request: HttpRequest) -> HttpResponse:
    """Make a token and show it, this once."""
    scopes = ["read", "submit"] if request.POST.get("submit") else ["read"]
    try:
        _token, plaintext = issue_token(
            user=cast(User, request.user), name=request.POST.get("name", "").strip(), scopes=scopes
        )
    except DomainError as error:
        return _page(request, error=error)
    return _page(request, token=plaintext)


@login_required
@require_POST
def revoke(request: HttpRequest, token_id: str) -> HttpResponse:
    revoke_token(user=cast(User, request.user), token_id=token_id)
    messages.success(request, _("The token no longer works."))
    return redirect("account")
