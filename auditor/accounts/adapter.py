"""Sign-up is closed: an administrator makes accounts."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedSignUp(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Refuses registration from the browser."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
