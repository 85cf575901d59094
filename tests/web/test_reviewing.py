"""A reviewer decides on a card in the browser; nobody else can."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.http import HttpResponse
from django.test import Client

from auditor.accounts.models import Membership, Role, User
from auditor.reports.models import CardStatus, ReportCard, Review
from tests.conftest import PASSWORD
from tests.web.reading import text_of

Browse = Callable[[User], Client]
REASON = "The selection rates differ threefold; a person must look at each case."


def decide(client: Client, card: ReportCard, decision: str = "reject", reason: str = REASON) -> HttpResponse:
    """Send the form and, as it is asked for once more, the password."""
    answer = client.post(f"/cards/{card.pk}/decision/", {"decision": decision, "reason": reason})
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    return client.post(answer["Location"], {"password": PASSWORD}, follow=True)


def test_a_decision_is_kept_with_its_reason_and_name(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    page = text_of(decide(browse(reviewer), failing_card))
    failing_card.refresh_from_db()
    assert failing_card.status == CardStatus.REJECTED
    assert "You rejected this card." in page
    assert "Ruth" in page
    assert REASON in page
    assert "Your decision" not in page  # there is nothing more to decide


def test_a_decision_without_a_reason_is_refused_and_nothing_is_lost(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    answer = decide(browse(reviewer), failing_card, "approve", "   ")
    assert answer.status_code == 422
    assert "Write why you decide so" in text_of(answer)
    assert not Review.objects.exists()


@pytest.mark.parametrize("who", ["engineer", "regulator"])
def test_only_a_reviewer_is_offered_a_decision(
    request: pytest.FixtureRequest, browse: Browse, who: str, failing_card: ReportCard
) -> None:
    client = browse(request.getfixturevalue(who))
    assert "Your decision" not in text_of(client.get(f"/cards/{failing_card.pk}/"))
    assert decide(client, failing_card).status_code == 403
    assert not Review.objects.exists()


def test_the_submitter_may_not_decide_even_as_a_reviewer(
    browse: Browse, engineer: User, failing_card: ReportCard
) -> None:
    Membership.objects.filter(user=engineer).update(role=Role.REVIEWER)
    client = browse(engineer)
    assert "another person decides" in text_of(client.get(f"/cards/{failing_card.pk}/"))
    assert decide(client, failing_card).status_code == 403


def test_a_decision_asks_for_the_password_again_and_then_goes_on(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    client = browse(reviewer)
    answer = client.post(f"/cards/{failing_card.pk}/decision/", {"decision": "reject", "reason": REASON})
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    assert not Review.objects.exists()
    wrong = client.post(answer["Location"], {"password": "something else entirely"})
    assert wrong.status_code == 200
    assert not Review.objects.exists()
    client.post(answer["Location"], {"password": PASSWORD})
    assert Review.objects.get().reason == REASON


def test_a_form_from_elsewhere_decides_nothing(
    reviewer: User, browse: Browse, failing_card: ReportCard
) -> None:
    client = browse(reviewer)
    client.handler.enforce_csrf_checks = True
    answer = client.post(f"/cards/{failing_card.pk}/decision/", {"decision": "approve", "reason": REASON})
    assert answer.status_code == 403
    assert "This form is no longer valid" in text_of(answer)
    assert not Review.objects.exists()


def test_only_a_card_that_meets_its_policy_is_offered_for_approval(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    page = browse(reviewer).get(f"/cards/{failing_card.pk}/")
    assert 'value="approve"' not in page.content.decode()
    assert "Only a card that meets its policy can be approved" in text_of(page)
    answer = decide(browse(reviewer), failing_card, "approve")
    assert "cannot be approved" in text_of(answer)
    assert not Review.objects.exists()


def test_a_card_that_meets_its_policy_is_approved(
    browse: Browse, reviewer: User, meeting_card: ReportCard
) -> None:
    assert 'value="approve"' in browse(reviewer).get(f"/cards/{meeting_card.pk}/").content.decode()
    page = text_of(decide(browse(reviewer), meeting_card, "approve"))
    meeting_card.refresh_from_db()
    assert meeting_card.status == CardStatus.APPROVED
    assert "You approved this card." in page
