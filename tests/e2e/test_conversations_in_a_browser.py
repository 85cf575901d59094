"""Conversations with an attacked model as a browser shows them: readable, reached by keyboard, and not printed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command

from auditor.accounts.models import Team, User
from auditor.policies.services import publish
from auditor.reports.models import ReportCard
from tests import factories
from tests.e2e.test_pages_in_a_browser import violations
from tests.web.test_safety_on_pages import FOUND, POLICY

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Any]


@pytest.fixture
def safety_card(team: Team, engineer: User, transactional_db: None) -> ReportCard:
    call_command("prepare", verbosity=0)
    version = factories.a_version(factories.a_model(team, engineer, "writer", modality="causal_lm"))
    policy = publish(principal=None, source=POLICY)
    return factories.audited(version, factories.text_data(team, engineer), [policy], FOUND)[0]


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_a_conversation_is_read_without_a_barrier_by_keyboard_and_never_printed(
    open_page: Open, reviewer: User, safety_card: ReportCard, theme: str, width: int
) -> None:
    page = open_page(reviewer, theme=theme, width=width)
    page.goto(f"/cards/{safety_card.pk}/evaluations/injections/")
    page.click("#examples form button")
    rest = page.locator(".said.rest")
    assert not rest.is_visible()
    page.locator(".talk summary").focus()
    page.keyboard.press("Enter")
    assert rest.is_visible()
    assert violations(page) == []
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0
    page.emulate_media(media="print")
    assert not page.locator(".talk").is_visible()
    assert page.locator(".on-paper").is_visible()
