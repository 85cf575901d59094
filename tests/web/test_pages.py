"""The other pages: dashboard, models, data sets, policies, ledger, errors, preferences, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from auditor.accounts.models import Team, User
from auditor.policies.models import PolicyVersion
from auditor.registry.models import DatasetVersion
from auditor.reports.models import ReportCard
from auditor.web import words
from evaluations.spec import Role
from tests import factories
from tests.conftest import PASSWORD
from tests.web.reading import text_of

Browse = Callable[[User], Client]


def test_a_new_team_is_told_the_first_commands_to_run(browse: Browse, engineer: User) -> None:
    text = text_of(browse(engineer).get("/"))
    assert "No model has been registered yet" in text
    assert "auditor model push" in text


def test_the_dashboard_shows_a_reviewer_what_waits_and_models_worst_first(
    browse: Browse, team: Team, engineer: User, reviewer: User, release_gate: PolicyVersion
) -> None:
    data = factories.adult_data(team, engineer)
    for name, found in (("alpha", factories.passing()), ("omega", factories.failing())):
        factories.audited(
            factories.a_version(factories.a_model(team, engineer, name)), data, [release_gate], found
        )
    text = text_of(browse(reviewer).get("/"))
    assert text.index("Waits for your decision") < text.index("alpha@1.0.0")
    table = text[text.index("worst verdict first") :]
    assert table.index("omega") < table.index("alpha")


def test_a_submitter_is_not_asked_to_review_their_own(
    browse: Browse, engineer: User, failing_card: ReportCard
) -> None:
    text = text_of(browse(engineer).get("/"))
    assert "Waits for your decision" not in text
    assert "Your submissions" in text


def test_models_are_found_by_name(browse: Browse, team: Team, engineer: User) -> None:
    for name in ("income", "churn"):
        factories.a_model(team, engineer, name)
    client = browse(engineer)
    found = text_of(client.get("/models/?q=chur"))
    assert "churn" in found
    assert "income Tabular" not in found
    assert "0 models match" in text_of(client.get("/models/?q=zzz"))


def test_a_model_page_shows_versions_by_area(
    browse: Browse, regulator: User, failing_card: ReportCard
) -> None:
    text = text_of(browse(regulator).get("/models/income/"))
    assert "3.2.0" in text
    assert "Cannot tell yet" in text
    assert "Intended use Ranking survey answers" in text
    assert "Start an audit" not in text  # a regulator reads


def test_a_data_set_page_shows_roles_and_counts(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    text = text_of(browse(reviewer).get("/datasets/adult/"))
    assert "Held out" in text
    assert "sex Sensitive" in text
    assert "Female 5,421 33.3%" in text


def test_a_data_set_page_names_and_explains_every_role(
    browse: Browse, reviewer: User, adult: DatasetVersion
) -> None:
    roles = [role.value for role in Role]
    DatasetVersion.objects.create(
        dataset=adult.dataset,
        version="2",
        digest="sha256:" + "d" * 64,
        format="csv",
        size=10,
        rows=1000,
        roles={f"column_{role}": role for role in roles},
        submitted_by=adult.submitted_by,
    )
    text = text_of(browse(reviewer).get("/datasets/adult/"))
    assert (
        "column_member Member of the training data 1: the model was trained on the row; 0: it was not" in text
    )
    assert "as an independent fair coin fell" in text
    assert "0 for a control that never was" in text
    assert all(f"column_{role} {words.role_name(role)}" in text for role in roles)
    assert all(words.role_name(role) != role for role in roles)


def test_a_policy_page_shows_limits_and_the_text_as_written(
    browse: Browse, reviewer: User, release_gate: PolicyVersion
) -> None:
    text = text_of(browse(reviewer).get("/policies/release-gate/"))
    assert "QUAL-01 Balanced accuracy" in text
    assert "≥ 0.8" in text
    assert "schema: policy/1" in text


def test_the_ledger_names_only_what_the_reader_may_see(
    browse: Browse, reviewer: User, stranger: User, failing_card: ReportCard
) -> None:
    assert "income@3.2.0" in text_of(browse(reviewer).get("/ledger/"))
    foreign = text_of(browse(stranger).get("/ledger/"))
    assert failing_card.digest in foreign
    assert "income" not in foreign
    assert failing_card.pk not in foreign


def test_what_is_not_there_gets_a_page_with_a_way_on(browse: Browse, reviewer: User) -> None:
    client = browse(reviewer)
    for address in ("/nowhere/", "/models/nothing-here/"):
        answer = client.get(address)
        assert answer.status_code == 404
        assert "Go to the dashboard" in text_of(answer)


def test_a_fault_of_ours_gets_a_page_that_needs_nothing(rf: Any) -> None:
    from auditor.web.views.errors import server_error

    answer = server_error(rf.get("/"))
    assert answer.status_code == 500
    assert "Nothing that was recorded is lost" in text_of(answer)


@pytest.mark.parametrize("address", ["/", "/models/", "/datasets/", "/policies/", "/ledger/", "/audits/new/"])
def test_every_page_asks_for_a_sign_in(client: Client, db: None, address: str) -> None:
    assert client.get(address)["Location"] == f"/accounts/login/?next={address}"


def test_there_is_no_sign_up(client: Client, db: None) -> None:
    assert client.get("/accounts/signup/").status_code == 404


def test_a_wrong_password_is_told_without_saying_which_part_was_wrong(client: Client, engineer: User) -> None:
    text = text_of(client.post("/accounts/login/", {"login": "erin", "password": "wrong"}))
    assert "The username and/or password you specified are not correct." in text


def test_the_theme_is_remembered_without_scripts(client: Client, db: None) -> None:
    answer = client.post("/preferences/theme/", {"theme": "dark", "next": "/accounts/login/"})
    assert answer["Location"] == "/accounts/login/"
    assert 'data-bs-theme="dark"' in client.get("/accounts/login/").content.decode()


@pytest.mark.parametrize("target", ["https://example.org/", "//example.org", "javascript:alert(1)"])
def test_a_theme_form_leads_nowhere_else(client: Client, db: None, target: str) -> None:
    assert client.post("/preferences/theme/", {"theme": "dark", "next": target})["Location"] == "/"


def test_the_language_can_be_changed(client: Client, engineer: User) -> None:
    client.post("/language/", {"language": "zh-hans", "next": "/"})
    client.post("/accounts/login/", {"login": "erin", "password": PASSWORD})
    html = client.get("/").content.decode()
    assert '<html lang="zh-hans"' in html
    assert "尚未登记模型" in html


def test_pages_forbid_inline_scripts_and_styles(
    browse: Browse, reviewer: User, failing_card: ReportCard
) -> None:
    answer = browse(reviewer).get(f"/cards/{failing_card.pk}/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert " style=" not in answer.content.decode()


# Queries of each page: session, user, memberships, then its own. More than here is a regression.
COST = {
    "/": 8,
    "/models/": 5,
    "/models/income/": 11,
    "/datasets/": 4,
    "/datasets/adult/": 6,
    "/policies/": 4,
    "/policies/release-gate/": 5,
    "/ledger/": 6,
    "card": 9,
    "evaluation": 4,
}


@pytest.mark.parametrize("address", COST)
def test_a_page_costs_no_more_queries_than_it_did(
    browse: Browse,
    reviewer: User,
    team: Team,
    engineer: User,
    failing_card: ReportCard,
    release_gate: PolicyVersion,
    django_assert_max_num_queries: Any,
    address: str,
) -> None:
    for version, digest in (("3.3.0", "1c3d"), ("3.4.0", "44aa")):
        factories.audited(
            factories.a_version(failing_card.audit.model_version.model, version, digest),
            failing_card.audit.dataset_version,
            [release_gate],
            factories.passing(),
        )
    client = browse(reviewer)
    names = {
        "card": f"/cards/{failing_card.pk}/",
        "evaluation": f"/cards/{failing_card.pk}/evaluations/groups/",
    }
    with django_assert_max_num_queries(COST[address]):
        assert client.get(names.get(address, address)).status_code == 200
