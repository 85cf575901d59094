"""Storing an endpoint's secret over the API and the command line: written, never read back."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings

from auditor.accounts.models import User
from auditor.policies.models import PolicyVersion
from auditor.registry import credentials
from auditor.registry.models import EndpointCredential, ModelVersion
from tests.api.test_command_line import CSV, CommandLine, line, one_connection

__all__ = ["line", "one_connection"]
HERE = "https://api.example.org"


@pytest.fixture(autouse=True)
def key(settings: LazySettings) -> None:
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode()]


def put(client: Any, body: dict[str, str]) -> Any:
    return client.send("PUT", "models/income/credential", json.dumps(body).encode(), "application/json")


def test_a_secret_is_stored_and_no_answer_holds_it(
    api: Any, income: ModelVersion, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = put(api, {"secret": "sk-hunter2", "origin": HERE + "/"})
        assert answer.status_code == 200
        assert {k: answer.json()[k] for k in ("origin", "header", "set_by")} == {
            "origin": HERE,
            "header": "Authorization",
            "set_by": "Erin",
        }
        shown = api.get("models/income")
        assert shown.json()["credential"] == answer.json()
        wrong = put(api, {"secret": "sk-hunter2 is wrong here"})
    assert wrong.status_code == 422
    assert b"hunter2" not in answer.content + shown.content + wrong.content
    assert "hunter2" not in caplog.text
    opened = credentials.opened(income.model_id, HERE)
    assert opened is not None
    assert opened.secret == "sk-hunter2"
    assert api.send("DELETE", "models/income/credential").status_code == 204
    assert api.get("models/income").json()["credential"] is None


def test_a_body_of_another_shape_is_refused_without_its_secret(api: Any, income: ModelVersion) -> None:
    for body in ({"secret": ["sk-hunter2"]}, {"secret": "sk-hunter2", "origin": 3}, {"hidden": "sk-hunter2"}):
        answer = put(api, body)
        assert answer.status_code == 422
        assert b"hunter2" not in answer.content


@pytest.mark.parametrize("origin", ["https://a\0b", "https://a\ud800", "https://hést.example", "https://a b"])
def test_an_address_that_no_service_has_is_refused(origin: str, api: Any, income: ModelVersion) -> None:
    answer = put(api, {"secret": "sk-hunter2", "origin": origin})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/origin"


def test_others_can_neither_store_nor_see_nor_forget_it(
    api: Any, token: Callable[..., Any], stranger: User, regulator: User, income: ModelVersion
) -> None:
    put(api, {"secret": "sk-hunter2", "origin": HERE})
    assert put(token(stranger), {"secret": "x", "origin": HERE}).status_code == 404
    assert put(token(regulator), {"secret": "x", "origin": HERE}).status_code == 403
    assert token(regulator).send("DELETE", "models/income/credential").status_code == 403
    assert EndpointCredential.objects.count() == 1


def test_the_command_line_reads_it_from_standard_input_or_a_variable(
    line: CommandLine, income: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("model", "credential", "income", "--origin", HERE)
    monkeypatch.setattr("sys.stdin", io.StringIO("sk-hunter2\n"))
    code, out, err = line(*command)
    assert code == 0, err
    assert HERE in out
    assert "hunter2" not in out + err
    opened = credentials.opened(income.model_id, HERE)
    assert opened is not None
    assert opened.secret == "sk-hunter2"

    monkeypatch.setenv("MODEL_KEY", "sk-other")
    assert line(*command, "--header", "x-api-key", "--from-env", "MODEL_KEY")[0] == 0
    opened = credentials.opened(income.model_id, HERE)
    assert opened is not None
    assert (opened.header, opened.value) == ("x-api-key", "sk-other")

    code, _, err = line(*command, "--from-env", "NOT_SET")
    assert code == 2
    assert "NOT_SET" in err
    assert line("model", "credential", "income", "--remove")[0] == 0
    assert not EndpointCredential.objects.exists()


def test_no_option_takes_the_secret_itself(line: CommandLine, income: ModelVersion) -> None:
    code, _, _ = line("model", "credential", "income", "--secret", "sk-hunter2")
    assert code == 2


def test_a_served_model_is_pushed_given_its_secret_and_planned(
    line: CommandLine, tmp_path: Path, release_gate: PolicyVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "endpoint.json").write_text(
        json.dumps(
            {
                "schema": "endpoint/1",
                "protocol": "rest",
                "url": f"{HERE}/v1/models/income:predict",
                "rest": {"rows_per_request": 10},
                "price": {"per_request": 0.5, "currency": "EUR"},
            }
        )
    )
    push = ("model", "push", "served", "--version", "1", "--modality", "tabular", folder)
    code, _, err = line(*push, "--label", "<=50K", "--label", ">50K")
    assert code == 0, err
    assert ModelVersion.objects.get().format == "endpoint"
    monkeypatch.setenv("KEY", "sk-hunter2")
    code, out, err = line("model", "credential", "served", "--from-env", "KEY")
    assert code == 0, err
    assert HERE in out

    data = tmp_path / "adult.csv"
    data.write_text(CSV)
    for version, egress in (("1", ()), ("2", ("--egress", HERE))):
        pushed = line(
            *("data", "push", "adult", "--version", version, "--target", "income", "--sensitive", "sex"),
            *("--favourable", ">50K", *egress, data),
        )
        assert pushed[0] == 0, pushed
    plan = ("audit", "run", "served@1", "--policy", "release-gate", "--dry-run", "--max-requests", "20")
    code, _, err = line(*plan, "--data", "adult@1")
    assert code == 2
    assert f"--egress {HERE}" in err
    code, out, err = line(*plan, "--data", "adult@2")
    assert code == 0, err
    assert "at most 100 queries, 10 requests, about 5.00 EUR" in out
    assert "in all: at most 300 queries, 30 requests, about 15.00 EUR" in out
    assert "the budget is 20" in out
    assert "hunter2" not in out
