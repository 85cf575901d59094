"""What every template may use: the nonce, the theme and the languages. Runs no query."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

SECTIONS = {  # of the main navigation, by the name of the address
    "dashboard": "dashboard",
    "model_list": "models",
    "model_detail": "models",
    "dataset_list": "datasets",
    "dataset_detail": "datasets",
    "policy_list": "policies",
    "policy_detail": "policies",
    "ledger": "ledger",
    "audit_new": "models",
    "audit_detail": "models",
    "card_detail": "models",
    "evaluation_detail": "models",
}
THEMES = ("system", "light", "dark")
THEME_COOKIE = "theme"


def theme_of(request: HttpRequest) -> str:
    chosen = request.COOKIES.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else "system"


def page(request: HttpRequest) -> dict[str, Any]:
    match = request.resolver_match
    return {
        "nav": SECTIONS.get(match.url_name or "", "") if match else "",
        "csp_nonce": getattr(request, "csp_nonce", ""),
        "theme": theme_of(request),
        "languages": settings.LANGUAGES,
        "here": request.get_full_path(),
    }
