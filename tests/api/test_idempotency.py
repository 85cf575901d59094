"""A POST with an Idempotency-Key is carried out once, however often it is sent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from auditor.accounts.models import User
from auditor.api import idempotency
from auditor.api.models import IdempotentRequest
from auditor.api.v1 import models as endpoint
from auditor.audits.models import Audit
from auditor.core.errors import DomainError
from auditor.policies.models import PolicyVersion
from auditor.registry.models import DatasetVersion, Model, ModelVersion

BODY = {"name": "risk", "modality": "tabular"}


def test_the_same_request_again_gives_the_stored_answer(api: Any) -> None:
    first = api.post("models", BODY, Idempotency_Key="k1")
    again = api.post("models", BODY, Idempotency_Key="k1")
    assert first.status_code == again.status_code == 201  # carried out again it would be 200
    assert again.content == first.content
    assert again["Location"] == first["Location"]
    assert again["Content-Type"] == first["Content-Type"]
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"


def test_an_audit_is_started_once(
    api: Any, income: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion
) -> None:
    body = {"model": "income@1.0", "dataset": "adult@1", "policies": ["release-gate"]}
    answers = [api.post("audits", body, Idempotency_Key="ci-4711") for _ in range(3)]
    assert {a.status_code for a in answers} == {202}
    assert len({a.json()["id"] for a in answers}) == 1
    assert Audit.objects.count() == 1


def test_the_same_key_with_another_body_or_address_is_refused(api: Any) -> None:
    api.post("models", BODY, Idempotency_Key="k1")
    other = api.post("models", BODY | {"name": "other"}, Idempotency_Key="k1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert api.post("datasets", BODY, Idempotency_Key="k1").status_code == 422
    assert Model.objects.count() == 1


def test_a_key_belongs_to_one_person(api: Any, token: Callable[..., Any], stranger: User) -> None:
    api.post("models", BODY, Idempotency_Key="k1")
    theirs = token(stranger).post("models", BODY | {"name": "mine"}, Idempotency_Key="k1")
    assert theirs.status_code == 201


def test_while_the_first_is_under_way_the_second_is_told_to_wait(api: Any, engineer: User) -> None:
    api.post("models", BODY, Idempotency_Key="k1")
    IdempotentRequest.objects.update(status=None)
    waiting = api.post("models", BODY, Idempotency_Key="k1")
    assert (waiting.status_code, waiting.json()["code"]) == (409, "idempotency_in_flight")
    IdempotentRequest.objects.update(started_at=timezone.now() - timedelta(hours=1))  # its process is gone
    assert api.post("models", BODY, Idempotency_Key="k1").status_code == 200


def test_after_a_failure_the_key_can_be_used_again(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**arguments: Any) -> Model:
        raise RuntimeError

    def full(**arguments: Any) -> Model:
        raise DomainError("disk_full", "Full.", status=507)

    for failure, status in ((broken, 500), (full, 507)):
        monkeypatch.setattr(endpoint.services, "register_model", failure)
        assert api.post("models", BODY, Idempotency_Key="k1").status_code == status
    monkeypatch.undo()
    assert api.post("models", BODY, Idempotency_Key="k1").status_code == 201


def test_a_failure_undoes_what_was_done_with_the_key(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **named: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(endpoint, "reply", broken)
    assert api.post("models", BODY, Idempotency_Key="k1").status_code == 500
    assert not Model.objects.exists()
    assert not IdempotentRequest.objects.exists()


@pytest.mark.parametrize("key", ["", "a" * 201, "with space", "ümlaut"])
def test_a_key_that_is_none_is_refused(api: Any, key: str) -> None:
    response = api.post("models", BODY, Idempotency_Key=key)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_idempotency_key")


def test_answers_are_forgotten_after_a_day(api: Any) -> None:
    api.post("models", BODY, Idempotency_Key="k1")
    assert idempotency.forget_old() == 0
    IdempotentRequest.objects.update(started_at=timezone.now() - timedelta(hours=25))
    assert idempotency.forget_old() == 1
