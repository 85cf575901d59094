"""The committed openapi.json is what the code serves, and is complete."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.test import Client

from auditor.api.management.commands.exportopenapi import current


def document() -> dict[str, Any]:
    return json.loads(current())


def test_the_committed_document_is_current() -> None:
    committed = (settings.BASE_DIR / "openapi.json").read_text(encoding="utf-8")
    assert committed == current(), "Run `python manage.py exportopenapi` and commit openapi.json."


def test_the_document_is_served_to_those_who_are_signed_in_or_not() -> None:
    served = Client().get("/api/v1/openapi.json")
    assert served.status_code == 200
    assert served.json()["openapi"].startswith("3.1")


def test_every_endpoint_has_a_name_a_summary_its_problems_and_a_way_to_sign_in() -> None:
    names = []
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert "application/problem+json" in operation["responses"]["default"]["content"], path
            assert operation["security"] == [{"TokenAuth": []}, {"PersonAuth": []}], path
            parameters = {p["name"] for p in operation.get("parameters", [])}
            assert (method == "post") == ("Idempotency-Key" in parameters), path
            names.append(operation["operationId"])
    assert len(set(names)) == len(names) >= 20
