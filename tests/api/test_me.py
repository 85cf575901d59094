"""The API says who is calling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from auditor.accounts.models import Team, User


def test_a_token_tells_its_person_teams_and_scopes(
    token: Callable[..., Any], engineer: User, team: Team
) -> None:
    body = token(engineer, "read").get("me").json()
    assert body == {
        "name": "Erin",
        "teams": [{"id": team.pk, "name": "Credit", "role": "engineer"}],
        "scopes": ["read"],
    }


def test_a_signed_in_person_has_no_scopes(engineer: User) -> None:
    client = Client()
    client.force_login(engineer)
    assert client.get("/api/v1/me").json()["scopes"] is None
