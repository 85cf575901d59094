"""The pages as a browser shows them: accessible in both themes, usable by keyboard and without scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from auditor.accounts.models import User
from auditor.audits import leases
from auditor.core.canonical import canonical_json
from auditor.reports import services as reports
from auditor.reports.models import CardStatus, ReportCard
from tests import factories
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Any]
REASON = "The selection rates differ threefold."


def violations(page: Any) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{v['id']} ({v['impact']}): {v['nodes'][0]['html'][:120]}" for v in found]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_has_a_known_barrier(
    open_page: Open, reviewer: User, card: ReportCard, theme: str, width: int
) -> None:
    waiting = factories.submitted(card.audit.model_version, card.audit.dataset_version, [card.policy_version])
    page = open_page(theme=theme, width=width)
    found = {"sign-in": violations(page)}
    page = open_page(reviewer, theme=theme, width=width)
    addresses = [
        "/",
        "/models/",
        "/models/income/",
        "/datasets/",
        "/datasets/adult/",
        "/policies/",
        "/policies/release-gate/",
        "/ledger/",
        "/nothing-here/",
        f"/cards/{card.pk}/",
        f"/cards/{card.pk}/evaluations/groups/",
        f"/audits/{waiting.pk}/",
        "/audits/new/",
    ]
    for address in addresses:
        page.goto(address)
        page.evaluate("document.querySelectorAll('main details').forEach((fold) => { fold.open = true })")
        found[address] = violations(page)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{address} scrolls sideways by {wider} px"
    assert {address: barriers for address, barriers in found.items() if barriers} == {}


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_what_an_audit_takes_is_told_without_a_barrier(
    open_page: Open, engineer: User, card: ReportCard, theme: str, width: int
) -> None:
    page = open_page(engineer, theme=theme, width=width)
    page.goto("/audits/new/")
    page.check("input[name=policies][value=release-gate]")
    page.click("text=See what it takes")
    assert page.locator("h2#plan").is_visible()
    assert (
        "48,843" in page.locator("section[aria-labelledby=plan] tfoot").inner_text()
    )  # three passes of 16,281
    assert violations(page) == []
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0


def test_a_reviewer_reads_a_card_and_rejects_it(open_page: Open, reviewer: User, card: ReportCard) -> None:
    page = open_page(reviewer)
    page.click("text=income@3.2.0")
    assert page.locator("h1").inner_text() == "Does not meet policy"
    page.click("text=Decide")
    page.fill("#reason", REASON)
    page.click("text=Reject")
    page.fill("#id_password", PASSWORD)  # a decision asks for it once more
    page.click("main button[type=submit]")
    page.wait_for_url(f"**/cards/{card.pk}/")
    assert REASON in page.locator("main").inner_text()
    card.refresh_from_db()
    assert card.status == CardStatus.REJECTED


def test_the_same_works_without_scripts(open_page: Open, reviewer: User, card: ReportCard) -> None:
    page = open_page(reviewer, scripts=False)
    page.click("text=income@3.2.0")
    page.fill("#reason", REASON)
    page.click("text=Reject")
    page.fill("#id_password", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url(f"**/cards/{card.pk}/")
    card.refresh_from_db()
    assert card.status == CardStatus.REJECTED


def test_the_keyboard_reaches_search_rows_and_help(open_page: Open, reviewer: User, card: ReportCard) -> None:
    page = open_page(reviewer)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") == "income@3.2.0"
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()


def test_the_theme_follows_the_choice_and_else_the_system(open_page: Open) -> None:
    dark = "rgb(17, 20, 24)"
    page = open_page(theme="system")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.click("text=Display")
    page.click("button[value=light]")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_a_running_audit_moves_by_itself_and_ends_with_its_card(
    open_page: Open, engineer: User, card: ReportCard
) -> None:
    audit = factories.submitted(card.audit.model_version, card.audit.dataset_version, [card.policy_version])
    page = open_page(engineer)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(f"/audits/{audit.pk}/")
    page.wait_for_selector("text=0 of 3 runs ended")
    while (run := leases.claim(factories.WORKER)) is not None:
        factories.succeed(run, factories.failing()[run.item])
    page.wait_for_selector("text=3 of 3 runs ended")
    audit.refresh_from_db()
    factories.services.complete(audit)
    (second,) = reports.issue(audit)
    page.wait_for_selector(f"a[href='/cards/{second.pk}/']")
    assert (
        page.locator("#announce").text_content() == "The audit has finished. The report card is linked below."
    )
    assert problems == []  # nothing that the content security policy refused


def test_the_files_of_a_card_download(open_page: Open, reviewer: User, card: ReportCard) -> None:
    page = open_page(reviewer)
    page.goto(f"/cards/{card.pk}/")
    with page.expect_download() as download:
        page.click("text=JSON with proof")
    assert download.value.suggested_filename == f"{card.pk}.json"
    with open(download.value.path(), "rb") as file:
        assert file.read() == canonical_json(reports.bundle(card))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_explained_examples_have_no_known_barrier_and_are_read_by_keyboard(
    open_page: Open, engineer: User, attacked_card: ReportCard, theme: str, width: int
) -> None:
    page = open_page(engineer, theme=theme, width=width)
    page.goto(f"/cards/{attacked_card.pk}/evaluations/misspelling/")
    page.click("#examples form button")
    text = page.locator("[data-heat]").first
    text.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "ArrowRight"):
        page.keyboard.press(key)
    assert page.locator(".heat-said").first.text_content() == "thoughtful +0.310"
    text.locator("[data-value]").nth(8).hover()
    assert page.locator(".heat-said").first.text_content() == "film −0.060"
    page.evaluate("document.querySelectorAll('main details').forEach((fold) => { fold.open = true })")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    shown = page.evaluate("[...document.querySelectorAll('.pictures img')].map((one) => one.naturalWidth)")
    assert shown == [32, 32, 32]
    page.click("#attacks button[type=submit]")
    assert "/datasets/sentences-attacks/" in page.url
    assert violations(page) == []
