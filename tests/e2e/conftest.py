"""A served site on the tests' database, and Chromium to look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.cache import cache
from django.core.management import call_command

from auditor.accounts.models import Team, User
from auditor.policies.models import PolicyVersion
from auditor.reports.models import ReportCard
from tests import factories
from tests.conftest import PASSWORD

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


# Not for the whole session: while Playwright's event loop runs, no test after it could start one of its own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install --no-install-recommends chromium")
    from playwright.sync_api import sync_playwright

    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = (
        "1"  # Playwright's own loop makes Django think it is asynchronous
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def whitenoise_serves(static_files: None) -> None:
    """The test server would look for static files by their plain names; ours carry a digest, as in production."""
    StaticFilesHandler._should_handle = lambda self, path: False


@pytest.fixture
def open_page(chromium: Any, whitenoise_serves: None, live_server: Any) -> Iterator[Callable[..., Any]]:
    """A fresh browser window, in a theme, signed in as somebody."""
    cache.clear()
    contexts = []

    def opened(
        user: User | None = None, *, theme: str = "light", width: int = 1280, scripts: bool = True
    ) -> Any:
        context = chromium.new_context(
            base_url=live_server.url, viewport={"width": width, "height": 900}, java_script_enabled=scripts
        )
        context.add_cookies([{"name": "theme", "value": theme, "url": live_server.url}])
        contexts.append(context)
        page = context.new_page()
        page.goto("/accounts/login/")
        if user is not None:
            page.fill("#id_login", user.username)
            page.fill("#id_password", PASSWORD)
            page.click("main button[type=submit]")
            page.wait_for_url(live_server.url + "/")
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def card(team: Team, engineer: User, transactional_db: None) -> ReportCard:
    call_command("prepare", verbosity=0)
    gate = PolicyVersion.objects.select_related("policy").get(policy__name="release-gate")
    version = factories.a_version(factories.a_model(team, engineer), "3.2.0")
    return factories.audited(version, factories.adult_data(team, engineer), [gate], factories.failing())[0]


@pytest.fixture
def attacked_card(team: Team, engineer: User, transactional_db: None) -> ReportCard:
    call_command("prepare", verbosity=0)
    gate = PolicyVersion.objects.select_related("policy").get(policy__name="release-gate")
    return factories.explained_card(team, engineer, gate)
