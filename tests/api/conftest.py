"""A client that calls the API as a person's token, the way a pipeline does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from auditor.accounts.models import User
from auditor.accounts.services import issue_token

ROOT = "/api/v1/"


class Api:
    """Calls below /api/v1/ with a token, or without one."""

    def __init__(self, token: str = "") -> None:
        self._client = Client(enforce_csrf_checks=True)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self._client.get(ROOT + path, headers=self._named(headers))

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        data = b"" if body is None else json.dumps(body)
        return self._client.post(
            ROOT + path, data, content_type="application/json", headers=self._named(headers)
        )

    def put(self, path: str, data: bytes, **headers: str) -> HttpResponse:
        return self._client.put(
            ROOT + path, data, content_type="application/octet-stream", headers=self._named(headers)
        )

    def send(
        self, method: str, path: str, data: bytes = b"", type_: str = "application/octet-stream"
    ) -> HttpResponse:
        return self._client.generic(method, ROOT + path, data, content_type=type_, headers=self._headers)

    def _named(self, headers: dict[str, str]) -> dict[str, str]:
        return self._headers | {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def anyone(db: None) -> Api:
    return Api()


@pytest.fixture
def token(db: None) -> Callable[..., Api]:
    def make(user: User, *scopes: str) -> Api:
        return Api(issue_token(user=user, name="tests", scopes=scopes or ("read", "submit"))[1])

    return make


@pytest.fixture
def api(engineer: User, token: Callable[..., Api]) -> Api:
    return token(engineer)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    settings.UPLOADS_DIR = tmp_path / "uploads"
    settings.ARTIFACTS_DIR = tmp_path / "artifacts"
