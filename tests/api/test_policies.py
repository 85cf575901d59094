"""Policies over the API: read by all, published by people who review."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from auditor.accounts.models import User
from auditor.policies.models import PolicyVersion


def test_a_built_in_policy_is_listed_and_read_by_name_and_number(
    api: Any, release_gate: PolicyVersion
) -> None:
    names = [policy["name"] for policy in api.get("policies").json()["items"]]
    assert "release-gate" in names
    body = api.get("policies/release-gate").json()
    assert (body["digest"], body["number"]) == (release_gate.digest, release_gate.number)
    assert body["source"] == release_gate.source
    assert api.get(f"policies/release-gate@{release_gate.number}").json() == body
    assert api.get("policies/release-gate@99").status_code == 404


def test_a_person_publishes_and_a_token_does_not(
    token: Callable[..., Any], reviewer: User, release_gate: PolicyVersion
) -> None:
    source = release_gate.source.replace("name: release-gate", "name: our-gate", 1)
    refused = token(reviewer).send("POST", "policies", source.encode(), "application/yaml")
    assert refused.status_code in (403, 422)
    client = Client()
    client.force_login(reviewer)
    made = client.generic("POST", "/api/v1/policies", source, content_type="application/yaml")
    assert made.status_code == 201, made.content
    assert made["Location"] == "/api/v1/policies/our-gate@1"
    assert token(reviewer).get("policies/our-gate").status_code == 200


def test_a_policy_is_not_read_by_another_team(
    token: Callable[..., Any], reviewer: User, stranger: User, release_gate: PolicyVersion
) -> None:
    client = Client()
    client.force_login(reviewer)
    source = release_gate.source.replace("name: release-gate", "name: our-gate", 1)
    client.generic("POST", "/api/v1/policies", source, content_type="application/yaml")
    assert token(stranger).get("policies/our-gate").status_code == 404


def test_a_faulty_policy_is_refused_with_the_place(reviewer: User) -> None:
    client = Client()
    client.force_login(reviewer)
    for source in (b"schema: policy/1\nname: x\n", b"\xff", b"[", b""):
        response = client.generic("POST", "/api/v1/policies", source, content_type="application/yaml")
        assert (response.status_code, response.json()["code"]) == (422, "invalid_policy")
