"""A person makes and revokes API tokens on the page of their account."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpResponse
from django.test import Client

from auditor.accounts.models import ApiToken, User
from auditor.accounts.services import authenticate_token
from tests.conftest import PASSWORD
from tests.web.reading import text_of

Browse = Callable[[User], Client]


def make(client: Client, **sent: str) -> HttpResponse:
    answer = client.post("/account/tokens/", sent)
    assert answer["Location"].startswith("/accounts/reauthenticate/")  # a token outlives the session
    return client.post(answer["Location"], {"password": PASSWORD}, follow=True)


def test_a_token_is_shown_once_and_works(browse: Browse, engineer: User) -> None:
    client = browse(engineer)
    answer = make(client, name="ci", submit="1")
    (plaintext,) = re.findall(r"audp_\w{12}_\w{38}", answer.content.decode())
    assert answer["Cache-Control"] == "no-store"
    assert authenticate_token(plaintext, "127.0.0.1").scopes == {"read", "submit"}
    assert plaintext not in client.get("/account/").content.decode()
    assert "read and submit" in text_of(client.get("/account/"))


def test_a_token_may_be_made_for_reading_alone(browse: Browse, engineer: User) -> None:
    make(browse(engineer), name="dashboard")
    assert ApiToken.objects.get().scopes == ["read"]


def test_a_token_needs_a_name(browse: Browse, engineer: User) -> None:
    assert make(browse(engineer), name=" ").status_code == 422
    assert not ApiToken.objects.exists()


def test_a_revoked_token_is_gone_from_the_page(browse: Browse, engineer: User) -> None:
    client = browse(engineer)
    make(client, name="ci")
    answer = client.post(f"/account/tokens/{ApiToken.objects.get().pk}/revoke/", follow=True)
    assert "The token no longer works." in text_of(answer)
    assert "You have no token." in text_of(answer)


def test_nobody_revokes_the_token_of_another(browse: Browse, engineer: User, reviewer: User) -> None:
    make(browse(engineer), name="ci")
    token = ApiToken.objects.get()
    assert browse(reviewer).post(f"/account/tokens/{token.pk}/revoke/").status_code == 404
    token.refresh_from_db()
    assert token.revoked_at is None
