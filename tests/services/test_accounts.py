"""Accounts: people, their roles, and the commands that make them."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command
from django.core.management.base import CommandError

from auditor.accounts.models import Membership, Team, User
from auditor.accounts.services import authenticate_token, create_user, principal_of
from auditor.core.errors import DomainError

PASSWORD = "correct horse battery staple"


def test_a_person_may_do_what_their_role_allows_in_their_team_only(
    engineer: User, reviewer: User, team: Team, stranger: User
) -> None:
    elsewhere = Team.objects.get(name="Elsewhere")
    assert principal_of(engineer).may("submit", team.pk)
    assert not principal_of(engineer).may("review", team.pk)
    assert principal_of(reviewer).may("review", team.pk)
    assert not principal_of(reviewer).may("submit", team.pk)
    assert not principal_of(engineer).may("read", elsewhere.pk)
    assert principal_of(engineer).is_person


def test_a_new_person_can_sign_in_and_belongs_to_the_team(team: Team) -> None:
    user = create_user(username="nina", password=PASSWORD, team=team, role="engineer", full_name="Nina")
    assert authenticate(username="nina", password=PASSWORD) == user
    assert principal_of(user).roles == {team.pk: "engineer"}


def test_a_weak_password_an_unknown_role_and_a_bad_name_are_all_named_at_once(team: Team) -> None:
    with pytest.raises(DomainError) as caught:
        create_user(username="no spaces", password="password", team=team, role="owner")
    assert {e.pointer for e in caught.value.errors} == {"/username", "/password", "/role"}
    assert not User.objects.exists()


def test_a_name_that_is_taken_is_refused_and_leaves_nothing(engineer: User, team: Team) -> None:
    with pytest.raises(DomainError) as caught:
        create_user(username="erin", password=PASSWORD, team=team, role="engineer")
    assert caught.value.code == "user_exists"
    assert Membership.objects.count() == 1


def test_the_commands_make_an_account_and_a_token_that_works(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(PASSWORD + "\n"))
    call_command("createuser", "nina", team="New", role="engineer", stdout=StringIO())
    out = StringIO()
    call_command("createtoken", "nina", name="CI", stdout=out)
    principal = authenticate_token(out.getvalue().strip(), "127.0.0.1")
    assert principal.scopes == {"read", "submit"}
    assert principal.roles == {Team.objects.get(name="New").pk: "engineer"}


def test_the_commands_say_what_is_wrong(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("short\n"))
    with pytest.raises(CommandError, match="too short"):
        call_command("createuser", "nina", team="New", role="engineer")
    with pytest.raises(CommandError, match="no account"):
        call_command("createtoken", "nobody", name="CI")
