"""An audit over the API: planned, asked for, followed and stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from auditor.accounts.models import User
from auditor.audits.models import Audit, EvaluationRun
from auditor.policies.models import PolicyVersion
from auditor.registry.models import DatasetVersion, ModelVersion
from tests import factories

BODY = {"model": "income@1.0", "dataset": "adult@1", "policies": ["release-gate"]}

pytestmark = pytest.mark.usefixtures("income", "adult", "release_gate")


def test_an_audit_is_accepted_with_where_to_look_and_when(api: Any, income: ModelVersion) -> None:
    response = api.post("audits", BODY)
    assert response.status_code == 202
    body = response.json()
    assert response["Location"] == f"/api/v1/audits/{body['id']}"
    assert int(response["Retry-After"]) > 0
    assert (body["status"], body["model"], body["model_digest"]) == ("queued", "income@1.0", income.digest)
    assert body["policies"] == ["release-gate@1"]
    assert body["progress"]["done_runs"] == 0
    assert body["progress"]["total_runs"] == len(body["runs"]) > 0
    assert body["cards"] == []
    assert api.get(f"audits/{body['id']}").json() == body
    assert [a["id"] for a in api.get("audits").json()["items"]] == [body["id"]]


def test_a_dry_run_says_what_would_be_run_and_starts_nothing(api: Any) -> None:
    response = api.post("audits", BODY | {"dry_run": True})
    assert response.status_code == 200
    plan = response.json()
    assert {"quality.classification", "fairness.group"} <= {item["evaluation"] for item in plan["items"]}
    assert not Audit.objects.exists()
    audit = api.post("audits", BODY).json()
    assert (audit["seed"], audit["digest"]) == (plan["seed"], plan["digest"])


def test_a_dry_run_says_what_it_would_take(api: Any) -> None:
    plan = api.post("audits", BODY | {"dry_run": True}).json()
    assert plan["takes"]["queries"] == sum(item["takes"]["queries"] for item in plan["items"]) == 3000
    assert {item["takes"]["seconds"] for item in plan["items"]} == {None}  # no run has told how fast it is
    assert all(0.04 < item["smallest_detectable_effect"] < 0.05 for item in plan["items"])
    assert (plan["currency"], plan["warnings"]) == ("", [])


def test_a_budget_is_kept_with_the_audit(api: Any) -> None:
    body = api.post("audits", BODY | {"max_requests": 500, "max_cost": 2.5}).json()
    assert body["budget"] == {
        "max_requests": 500,
        "max_tokens": None,
        "max_cost": 2.5,
        "drawn_requests": 0,
        "drawn_tokens": 0,
        "drawn_cost": 0.0,
    }
    assert [run["spent"] for run in body["runs"]] == [{}] * len(body["runs"])
    assert api.post("audits", BODY | {"max_requests": 0}).status_code == 422


def test_a_poller_is_answered_304_until_something_changes(api: Any) -> None:
    path = f"audits/{api.post('audits', BODY).json()['id']}"
    etag = api.get(path)["ETag"]
    unchanged = api.get(path, If_None_Match=etag)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged["ETag"] == etag
    assert int(unchanged["Retry-After"]) > 0
    assert api.get(path, If_None_Match=f'"other", W/{etag}').status_code == 304
    EvaluationRun.objects.update(progress_done=5, progress_total=10)
    changed = api.get(path, If_None_Match=etag)
    assert changed.status_code == 200
    assert changed["ETag"] != etag


def test_an_audit_is_stopped(api: Any) -> None:
    path = f"audits/{api.post('audits', BODY).json()['id']}"
    stopped = api.post(f"{path}/cancel")
    assert stopped.status_code == 202
    assert stopped.json()["status"] == "cancelled"
    assert "Retry-After" not in api.get(path)
    again = api.post(f"{path}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "invalid_transition")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"model": "income@9"}, 404),
        ({"dataset": "absent"}, 404),
        ({"policies": ["absent"]}, 404),
        ({"policies": []}, 422),
        ({"supersedes": "aud_absent"}, 404),
    ],
)
def test_what_is_named_must_exist(api: Any, change: dict[str, Any], status: int) -> None:
    assert api.post("audits", BODY | change).status_code == status
    assert not Audit.objects.exists()


def test_reading_is_not_enough_to_start_and_strangers_see_nothing(
    api: Any, token: Callable[..., Any], regulator: User, stranger: User
) -> None:
    assert token(regulator).post("audits", BODY).status_code == 403
    audit = api.post("audits", BODY).json()
    assert token(regulator).get(f"audits/{audit['id']}").status_code == 200
    assert token(regulator).post(f"audits/{audit['id']}/cancel").status_code == 403
    assert token(stranger).get(f"audits/{audit['id']}").status_code == 404
    assert token(stranger).post("audits", BODY).status_code == 404


def test_following_an_audit_takes_a_fixed_number_of_queries(
    api: Any, adult: DatasetVersion, release_gate: PolicyVersion, django_assert_max_num_queries: Any
) -> None:
    path = f"audits/{api.post('audits', BODY).json()['id']}"
    with django_assert_max_num_queries(14):
        api.get(path)


def test_attacks_that_succeeded_are_kept_as_a_data_set(
    api: Any, token: Any, reviewer: User, team: Any, engineer: User, release_gate: PolicyVersion
) -> None:
    audit = factories.explained_card(team, engineer, release_gate).audit
    path, body = f"audits/{audit.pk}/keep-attacks", {"item": "misspelling", "name": "sentence-attacks"}
    response = api.post(path, body)
    assert response.status_code == 201
    assert response["Location"] == "/api/v1/datasets/sentence-attacks"
    first = response.json()
    assert {k: first[k] for k in ("dataset", "version", "rows", "added", "known")} == {
        "dataset": "sentence-attacks",
        "version": "1",
        "rows": 2,
        "added": 2,
        "known": 0,
    }
    again = api.post(path, body)
    assert (again.status_code, again.json()["added"], again.json()["version"]) == (200, 0, "1")
    listed = api.get("datasets/sentence-attacks").json()["versions"][0]
    assert (listed["digest"], listed["provenance"]["data"]) == (first["digest"], "sentences@1")
    assert api.post(path, {"item": "calibration", "name": "sentence-attacks"}).status_code == 404
    assert api.post(path, {"item": "a\0b", "name": "sentence-attacks"}).status_code in (404, 422)
    assert api.post(path, {"item": "misspelling", "name": "No such Name"}).status_code == 422
    assert token(reviewer, "read").post(path, body).status_code == 403
