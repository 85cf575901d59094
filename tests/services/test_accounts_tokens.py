"""API tokens: shown once, kept as an HMAC, narrowed by scope, network and time."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from auditor.accounts import token_format
from auditor.accounts.models import ApiToken, Membership, Team, User
from auditor.accounts.services import authenticate_token, issue_token, revoke_token
from auditor.core.errors import DomainError


def refused(text: str, ip: str = "127.0.0.1") -> DomainError:
    with pytest.raises(DomainError) as caught:
        authenticate_token(text, ip)
    return caught.value


def test_a_token_acts_for_its_person_within_its_scopes(engineer: User, team: Team) -> None:
    token, text = issue_token(user=engineer, name="CI", scopes=["read"])
    principal = authenticate_token(text, "203.0.113.9")
    assert principal.user_id == engineer.pk
    assert principal.may("read", team.pk)
    assert not principal.may("submit", team.pk)
    assert not principal.is_person
    assert re.fullmatch(r"audp_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}", text)
    assert text.split("_")[1] == token.pk


def test_the_secret_is_kept_nowhere(engineer: User) -> None:
    token, text = issue_token(user=engineer, name="CI", scopes=["read"])
    secret = text.split("_")[2][:32]
    row = ApiToken.objects.filter(pk=token.pk).values().get()
    assert all(
        secret not in str(value) and secret.encode() not in bytes(row["secret_hmac"])
        for value in row.values()
    )


def test_a_role_that_is_taken_away_is_gone_for_the_token_too(engineer: User, team: Team) -> None:
    _, text = issue_token(user=engineer, name="CI", scopes=["read", "submit"])
    Membership.objects.filter(user=engineer).update(role="regulator")
    assert not authenticate_token(text, "127.0.0.1").may("submit", team.pk)


@pytest.mark.parametrize("scopes", [[], ["review"], ["read", "administer"]])
def test_no_token_may_review_or_administer(engineer: User, scopes: list[str]) -> None:
    with pytest.raises(DomainError) as caught:
        issue_token(user=engineer, name="CI", scopes=scopes)
    assert caught.value.errors[0].pointer == "/scopes"
    assert not ApiToken.objects.exists()


def test_a_mistyped_token_is_told_without_asking_the_database(
    engineer: User, django_assert_num_queries: Any
) -> None:
    _, text = issue_token(user=engineer, name="CI", scopes=["read"])
    flipped = text[:20] + ("a" if text[20] != "a" else "b") + text[21:]
    with django_assert_num_queries(0):
        for wrong in (flipped, text[:-1], text + "x", "", "audp_", "Bearer", text.replace("audp", "AUDP")):
            assert refused(wrong).code == "invalid_token"
            assert refused(wrong).status == 401


def test_a_right_id_with_another_secret_is_refused(engineer: User) -> None:
    token, _ = issue_token(user=engineer, name="CI", scopes=["read"])
    assert refused(token_format.compose(token.pk, "x" * 32)).code == "invalid_token"


def test_an_expired_revoked_or_orphaned_token_is_refused(engineer: User) -> None:
    token, text = issue_token(user=engineer, name="CI", scopes=["read"], days=1)
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "expired" in refused(text).message

    token, text = issue_token(user=engineer, name="CI", scopes=["read"])
    revoke_token(user=engineer, token_id=token.pk)
    revoke_token(user=engineer, token_id=token.pk)
    assert "revoked" in refused(text).message

    _, text = issue_token(user=engineer, name="CI", scopes=["read"])
    User.objects.update(is_active=False)
    assert refused(text).status == 401


def test_a_token_of_another_person_cannot_be_revoked(engineer: User, stranger: User) -> None:
    token, text = issue_token(user=engineer, name="CI", scopes=["read"])
    with pytest.raises(DomainError):
        revoke_token(user=stranger, token_id=token.pk)
    assert authenticate_token(text, "127.0.0.1")


def test_a_token_is_bound_to_its_networks(engineer: User) -> None:
    _, text = issue_token(
        user=engineer, name="CI", scopes=["read"], networks=["192.0.2.7/24", "2001:db8::/32"]
    )
    for ip in ("192.0.2.200", "2001:db8::5", "::ffff:192.0.2.1"):
        assert authenticate_token(text, ip)
    for ip in ("198.51.100.1", "2001:db9::1", "", "unix:"):
        assert refused(text, ip).code == "forbidden"
    with pytest.raises(DomainError):
        issue_token(user=engineer, name="CI", scopes=["read"], networks=["everywhere"])


def test_tokens_live_on_when_a_new_pepper_is_added_and_die_with_their_own(
    engineer: User, settings: Any
) -> None:
    settings.API_TOKEN_PEPPERS = {1: "old"}
    _, old = issue_token(user=engineer, name="old", scopes=["read"])
    settings.API_TOKEN_PEPPERS = {1: "old", 2: "new"}
    token, new = issue_token(user=engineer, name="new", scopes=["read"])
    assert token.pepper == 2
    assert authenticate_token(old, "127.0.0.1")
    settings.API_TOKEN_PEPPERS = {2: "new"}
    assert authenticate_token(new, "127.0.0.1")
    assert refused(old).status == 401


def test_the_last_use_is_noted_at_most_once_a_minute(engineer: User) -> None:
    token, text = issue_token(user=engineer, name="CI", scopes=["read"])
    authenticate_token(text, "127.0.0.1")
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None
    authenticate_token(text, "127.0.0.1")
    token.refresh_from_db()
    assert token.last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    authenticate_token(text, "127.0.0.1")
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert token.last_used_at > first - timedelta(minutes=2)
