"""Starting an audit in the browser, watching it, cancelling it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from auditor.accounts.models import Team, User
from auditor.audits import leases, services
from auditor.audits.models import Audit, AuditStatus
from auditor.policies.models import PolicyVersion
from auditor.policies.services import publish
from auditor.registry.models import Dataset, DatasetVersion, ModelVersion
from auditor.reports import services as reports
from evaluations.stats import smallest_detectable_effect
from tests import factories
from tests.web.reading import text_of

Browse = Callable[[User], Client]


@pytest.fixture
def version(team: Team, engineer: User) -> ModelVersion:
    return factories.a_version(factories.a_model(team, engineer))


@pytest.fixture
def data(team: Team, engineer: User) -> DatasetVersion:
    return factories.adult_data(team, engineer)


@pytest.fixture
def audit(version: ModelVersion, data: DatasetVersion, release_gate: PolicyVersion) -> Audit:
    return factories.submitted(version, data, [release_gate])


def test_an_engineer_starts_an_audit_from_the_form(
    browse: Browse, engineer: User, version: ModelVersion, data: DatasetVersion, release_gate: PolicyVersion
) -> None:
    sent = {"version": version.pk, "dataset": data.pk, "policies": ["release-gate"]}
    answer = browse(engineer).post("/audits/new/", sent)
    audit = Audit.objects.get()
    assert answer["Location"] == f"/audits/{audit.pk}/"
    assert (audit.status, audit.requested_by) == (AuditStatus.QUEUED, engineer)


def test_a_form_without_a_policy_is_refused_beside_the_field(
    browse: Browse, engineer: User, version: ModelVersion, data: DatasetVersion, release_gate: PolicyVersion
) -> None:
    answer = browse(engineer).post("/audits/new/", {"version": version.pk, "dataset": data.pk})
    assert answer.status_code == 422
    assert "This field is required." in text_of(answer)
    assert not Audit.objects.exists()


ASKING = """
schema: policy/1
name: asking
title: Asks two others
suite:
  - {item: judged, evaluation: quality.judge}
  - {item: members, evaluation: privacy.membership}
controls:
  - {id: QUAL-01, title: Judged, area: quality, item: judged, metric: judged_rate, comparison: ">=", limit: 0.5}
  - {id: PRIV-01, title: Hidden, area: privacy, item: members, metric: auc, comparison: "<=", limit: 0.6}
"""


def test_a_judge_and_a_reference_are_chosen_in_the_form_and_shown_with_what_was_frozen(
    browse: Browse, engineer: User, team: Team
) -> None:
    version, judge, reference = (
        factories.a_version(factories.a_model(team, engineer, name, modality="causal_lm"), digest=4 * digit)
        for name, digit in (("income", "a"), ("judge", "b"), ("base", "c"))
    )
    publish(principal=None, source=ASKING)
    data = DatasetVersion.objects.create(
        dataset=Dataset.objects.create(name="texts", team=team),
        version="1",
        digest="sha256:" + "d" * 64,
        format="csv",
        size=10,
        rows=1000,
        roles={"text": "input", "seen": "member"},
        submitted_by=engineer,
    )
    table = factories.a_version(
        factories.a_model(team, engineer, "table", modality="tabular"), digest=4 * "e"
    )
    page = browse(engineer).get("/audits/new/").content.decode()
    judges = page.split('name="judge"')[1].split("</select>")[0]
    assert f'value="{judge.pk}"' in judges
    assert f'value="{table.pk}"' not in judges  # no evaluation is judged by a model of tables
    sent = {"version": version.pk, "dataset": data.pk, "policies": ["asking"]}
    answer = browse(engineer).post("/audits/new/", {**sent, "reference": version.pk})
    assert answer.status_code == 422
    assert "cannot be its own reference" in text_of(answer)
    answer = browse(engineer).post("/audits/new/", {**sent, "judge": judge.pk, "reference": reference.pk})
    audit = Audit.objects.get()
    assert (audit.judge_version, audit.reference_version) == (judge, reference)
    text = text_of(browse(engineer).get(answer["Location"]))
    assert f"Judge of answers {judge} {judge.digest}" in text
    assert f"Reference model {reference} {reference.digest}" in text


def test_another_teams_model_is_no_choice(
    browse: Browse, stranger: User, version: ModelVersion, data: DatasetVersion, release_gate: PolicyVersion
) -> None:
    sent = {"version": version.pk, "dataset": data.pk, "policies": ["release-gate"]}
    assert browse(stranger).post("/audits/new/", sent).status_code == 422
    assert not Audit.objects.exists()


def test_what_it_takes_is_told_before_anything_starts(
    browse: Browse, engineer: User, version: ModelVersion, data: DatasetVersion, release_gate: PolicyVersion
) -> None:
    sent = {"version": version.pk, "dataset": data.pk, "policies": ["release-gate"], "plan": "1"}
    answer = browse(engineer).post("/audits/new/", sent)
    text = text_of(answer)
    assert answer.status_code == 200
    assert not Audit.objects.exists()
    assert "What it would take" in text
    assert f"{data.rows:,}" in text
    assert f"{3 * data.rows:,}" in text  # classification, calibration, groups: at most three passes
    assert f"{100 * smallest_detectable_effect(data.rows):.1f}" in text


def test_a_reviewer_may_not_start_one(
    browse: Browse, reviewer: User, version: ModelVersion, data: DatasetVersion, release_gate: PolicyVersion
) -> None:
    sent = {"version": version.pk, "dataset": data.pk, "policies": ["release-gate"]}
    answer = browse(reviewer).post("/audits/new/", sent)
    assert answer.status_code == 403
    assert "may not submit" in text_of(answer)


def test_the_live_part_says_how_far_it_is_and_hides_what_was_measured(
    browse: Browse, engineer: User, audit: Audit
) -> None:
    run = leases.claim(factories.WORKER)
    assert run is not None
    factories.succeed(run, factories.failing()["classification"])
    answer = browse(engineer).get(f"/audits/{audit.pk}/live/")
    text = text_of(answer)
    assert answer.status_code == 200
    assert "1 of 3 runs ended" in text
    assert "0.796" not in text


def test_the_page_stops_asking_once_the_audit_has_ended_and_links_the_card(
    browse: Browse, engineer: User, audit: Audit
) -> None:
    while (run := leases.claim(factories.WORKER)) is not None:
        factories.succeed(run, factories.failing()[run.item])
    audit.refresh_from_db()
    services.complete(audit)
    (card,) = reports.issue(audit)
    client = browse(engineer)
    answer = client.get(f"/audits/{audit.pk}/live/")
    assert answer.status_code == 286  # htmx stops polling at this status
    assert f'href="/cards/{card.pk}/"' in answer.content.decode()
    assert "hx-get" not in client.get(f"/audits/{audit.pk}/").content.decode()


def test_an_audit_can_be_cancelled(browse: Browse, engineer: User, audit: Audit) -> None:
    client = browse(engineer)
    assert client.post(f"/audits/{audit.pk}/cancel/").status_code == 302
    audit.refresh_from_db()
    assert audit.status == AuditStatus.CANCELLED
    assert "It still counts as an audit" in text_of(client.get(f"/audits/{audit.pk}/"))


def test_cancelling_twice_says_what_happened(browse: Browse, engineer: User, audit: Audit) -> None:
    client = browse(engineer)
    client.post(f"/audits/{audit.pk}/cancel/")
    answer = client.post(f"/audits/{audit.pk}/cancel/")
    assert answer.status_code == 409
    assert "is cancelled" in text_of(answer)
