"""What the page of a report card says, and what it never says."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.test import Client

from auditor.accounts.models import Team, User
from auditor.policies.models import PolicyVersion
from auditor.reports.models import ReportCard
from tests import factories
from tests.web.reading import text_of

Browse = Callable[[User], Client]


def test_the_verdict_and_what_decides_it_come_first(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    text = text_of(browse(reviewer).get(f"/cards/{failing_card.pk}/"))
    order = [
        text.index(part)
        for part in ("Does not meet policy", "What decides this", "By area", "Check it yourself")
    ]
    assert order == sorted(order)
    assert "Selection rate ratio by sex is 0.320 , limit ≥ 0.8, interval 0.292–0.349." in text
    assert "Female 0.082" in text


def test_an_inconclusive_says_what_would_settle_it(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    text = text_of(browse(reviewer).get(f"/cards/{failing_card.pk}/"))
    assert "Cannot tell yet. About 49,000 more examples would settle it." in text


def test_what_was_not_measured_is_never_shown_as_a_pass_or_a_number(
    browse: Browse, team: Team, engineer: User, reviewer: User, release_gate: PolicyVersion
) -> None:
    version = factories.a_version(factories.a_model(team, engineer), "3.3.0")
    (card,) = factories.audited(
        version,
        factories.adult_data(team, engineer),
        [release_gate],
        factories.passing(),
        errors={"calibration": "The run used more memory than its limit."},
    )
    text = text_of(browse(reviewer).get(f"/cards/{card.pk}/"))
    assert "Incomplete" in text
    assert "Calibration error without its bias , limit ≤ 0.05. Not assessed" in text
    assert "The run used more memory than its limit." in text


def test_a_value_that_rounds_to_its_limit_is_shown_with_more_decimals(
    browse: Browse, team: Team, engineer: User, reviewer: User, release_gate: PolicyVersion
) -> None:
    found = {**factories.passing(), "classification": factories.quality(0.78, 0.79998, 0.82)}
    version = factories.a_version(factories.a_model(team, engineer))
    (card,) = factories.audited(version, factories.adult_data(team, engineer), [release_gate], found)
    assert "Balanced accuracy is 0.79998" in text_of(browse(reviewer).get(f"/cards/{card.pk}/"))


def test_every_attempt_and_its_isolation_are_on_the_card(
    browse: Browse, regulator: User, failing_card: ReportCard
) -> None:
    text = text_of(browse(regulator).get(f"/cards/{failing_card.pk}/"))
    assert "Runs and environment 3 attempts" in text
    assert text.count("full") >= 3


def test_the_json_file_is_the_bundle_that_the_command_line_verifies(
    browse: Browse, regulator: User, failing_card: ReportCard
) -> None:
    answer = browse(regulator).get(f"/cards/{failing_card.pk}/json/")
    bundle = json.loads(answer.content)
    assert bundle["schema"] == "evidence-bundle/1"
    assert bundle["card"] == json.loads(failing_card.canonical)
    assert answer["Content-Disposition"] == f'attachment; filename="{failing_card.pk}.json"'


def test_a_stranger_cannot_tell_a_card_from_nothing(
    browse: Browse, stranger: User, failing_card: ReportCard
) -> None:
    client = browse(stranger)
    there, nowhere = client.get(f"/cards/{failing_card.pk}/"), client.get("/cards/rc_00000000000000000000zz/")
    assert there.status_code == nowhere.status_code == 404
    assert text_of(there).replace(failing_card.pk, "") == text_of(nowhere).replace(
        "rc_00000000000000000000zz", ""
    )


@pytest.mark.parametrize("name", ["", "pdf/", "json/"])
def test_a_card_is_for_people_who_signed_in(client: Client, failing_card: ReportCard, name: str) -> None:
    answer = client.get(f"/cards/{failing_card.pk}/{name}")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


def test_texts_of_a_submitter_are_shown_as_text(
    browse: Browse, team: Team, engineer: User, reviewer: User, release_gate: PolicyVersion
) -> None:
    model = factories.a_model(team, engineer, intended_use="<script>alert(1)</script> & more")
    (card,) = factories.audited(
        factories.a_version(model), factories.adult_data(team, engineer), [release_gate], factories.passing()
    )
    html = browse(reviewer).get(f"/cards/{card.pk}/").content.decode()
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in html
