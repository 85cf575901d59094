"""Whatever goes wrong is a problem document with a stable code, and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from auditor.accounts.models import User
from auditor.api.v1 import me
from auditor.policies.models import PolicyVersion
from auditor.registry.models import DatasetVersion, Model, ModelVersion

PROBLEM = "application/problem+json"


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == PROBLEM
    body: dict[str, Any] = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert set(body) == {"type", "title", "status", "code", "detail", "errors", "request_id"}
    assert body["detail"]
    assert body["request_id"] == response["X-Request-ID"]
    return body


def test_no_token_is_401_and_says_how_to_send_one(anyone: Any) -> None:
    response = anyone.get("me")
    assert "audp_" in problem(response, 401, "not_signed_in")["detail"]
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer ", "Basic YTpi", "nonsense"])
def test_a_wrong_authorization_header_is_401(db: None, header: str) -> None:
    problem(Client().get("/api/v1/me", headers={"Authorization": header}), 401, "invalid_token")


def test_a_wrong_header_does_not_fall_back_to_the_session(engineer: User) -> None:
    client = Client()
    client.force_login(engineer)
    assert client.get("/api/v1/me").status_code == 200
    problem(client.get("/api/v1/me", headers={"Authorization": "Basic YTpi"}), 401, "invalid_token")


def test_a_person_needs_the_csrf_token_to_change_anything(engineer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(engineer)
    body = {"name": "risk", "modality": "tabular"}
    refused = client.post("/api/v1/models", body, content_type="application/json")
    assert "X-CSRFToken" in problem(refused, 403, "forbidden")["detail"]
    assert not Model.objects.exists()
    client.cookies["csrftoken"] = "a" * 32
    sent = client.post(
        "/api/v1/models", body, content_type="application/json", headers={"X-CSRFToken": "a" * 32}
    )
    assert sent.status_code == 201


def test_a_scope_or_role_that_is_missing_is_403(
    token: Callable[..., Any], engineer: User, reviewer: User
) -> None:
    body = {"name": "risk", "modality": "tabular"}
    problem(token(engineer, "read").post("models", body), 403, "forbidden")
    problem(token(reviewer).post("models", body), 403, "forbidden")


def test_every_fault_of_a_body_is_pointed_at(api: Any) -> None:
    body = problem(api.post("models", {"name": 7, "modality": "oracle"}), 422, "invalid_input")
    assert {e["pointer"] for e in body["errors"]} == {"/name", "/modality"}


def test_a_body_that_is_no_json_is_400(api: Any) -> None:
    problem(api.send("POST", "models", b"{", "application/json"), 400, "bad_request")


def test_a_body_that_is_too_large_is_413(api: Any) -> None:
    problem(api.post("models", {"name": "a" * 3_000_000, "modality": "tabular"}), 413, "body_too_large")


def test_a_fault_of_the_query_names_the_parameter(api: Any) -> None:
    body = problem(api.get("models?limit=500"), 422, "invalid_input")
    assert body["errors"][0]["pointer"] == "/query/limit"


@pytest.mark.parametrize("path", ["nothing", "models/absent", "audits/aud_absent", "cards/rc_absent", "me/"])
def test_what_is_not_there_is_404(api: Any, path: str) -> None:
    problem(api.get(path), 404, "not_found")


def test_a_method_that_is_not_taken_is_405_with_those_that_are(api: Any) -> None:
    response = api.send("DELETE", "me")
    problem(response, 405, "method_not_allowed")
    assert "GET" in response["Allow"]


def test_what_nobody_expected_is_500_without_its_details(
    api: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def broken(*arguments: Any, **named: Any) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(me.Team.objects, "filter", broken)
    body = problem(api.get("me"), 500, "internal_error")
    assert "hunter2" not in str(body)
    assert body["request_id"] in caplog.text


def test_the_callers_request_id_is_kept_unless_it_is_strange(api: Any) -> None:
    assert api.get("me", X_Request_ID="build-4711")["X-Request-ID"] == "build-4711"
    assert (
        api.get("me", X_Request_ID="<script>alert(1)</script>")["X-Request-ID"] != "<script>alert(1)</script>"
    )


def test_a_text_that_cannot_be_stored_is_refused_wherever_it_is(
    api: Any, income: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion
) -> None:
    sound = {"model": "income@1.0", "dataset": "adult@1", "policies": ["release-gate"]}
    one = [{name: "a\0b"} for name in ("model", "judge", "reference", "supersedes")]
    for odd in (*one, {"policies": ["a\0b"]}):
        answer = api.post("audits", {**sound, **odd}, Idempotency_Key=f"odd-{sorted(odd)}")
        assert answer.status_code == 422, odd
        assert answer.json()["code"] == "invalid_input"
    assert api.get("models/a%00b").status_code == 422
    assert api.post("audits", sound).status_code == 202
