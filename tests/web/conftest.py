"""Browsers of the cast, a few finished audits, and a guard: templates run no query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.template import base
from django.test import Client

from auditor.accounts.models import Team, User
from auditor.policies.models import PolicyVersion
from auditor.reports.models import ReportCard
from tests import factories
from tests.conftest import PASSWORD


@pytest.fixture(autouse=True)
def templates_run_no_query(monkeypatch: pytest.MonkeyPatch, static_files: None) -> None:
    """Whatever a page shows was fetched by its view."""
    render = base.Template._render

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> None:
        raise AssertionError(f"a template ran a query: {sql}")

    def guarded(self: base.Template, context: Any) -> Any:
        with connection.execute_wrapper(refuse):
            return render(self, context)

    monkeypatch.setattr(base.Template, "_render", guarded)


@pytest.fixture
def browse(db: None) -> Callable[[User], Client]:
    """Sign in through the form, as a person does: a decision asks for a recent password."""

    def sign_in(user: User) -> Client:
        client = Client()
        answer = client.post("/accounts/login/", {"login": user.username, "password": PASSWORD})
        assert answer.status_code == 302, answer.content.decode()
        return client

    return sign_in


@pytest.fixture
def failing_card(team: Team, engineer: User, release_gate: PolicyVersion) -> ReportCard:
    version = factories.a_version(factories.a_model(team, engineer), "3.2.0")
    return factories.audited(
        version, factories.adult_data(team, engineer), [release_gate], factories.failing()
    )[0]


@pytest.fixture
def text_card(team: Team, engineer: User, release_gate: PolicyVersion) -> ReportCard:
    version = factories.a_version(
        factories.a_model(team, engineer, "sentiment", modality="text_classifier"), "1.0.0", "77ee"
    )
    return factories.audited(version, factories.text_data(team, engineer), [release_gate], factories.text())[
        0
    ]


@pytest.fixture
def attacked_card(team: Team, engineer: User, release_gate: PolicyVersion) -> ReportCard:
    return factories.explained_card(team, engineer, release_gate)


@pytest.fixture(autouse=True)
def fresh_cache(db: None) -> None:
    """Sign-in rate limits count across tests otherwise."""
    cache.clear()


@pytest.fixture
def meeting_card(team: Team, engineer: User, release_gate: PolicyVersion) -> ReportCard:
    version = factories.a_version(factories.a_model(team, engineer), "4.0.0")
    return factories.audited(
        version, factories.adult_data(team, engineer), [release_gate], factories.passing()
    )[0]
