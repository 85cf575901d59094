"""The command line and the service understand each other: push, data, plan, gate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from auditor.accounts.models import User
from auditor.accounts.services import issue_token
from auditor.client import cli
from auditor.client.session import Session
from auditor.policies.models import PolicyVersion
from auditor.registry.models import DatasetVersion, ModelVersion, Upload
from auditor.wsgi import application
from tests.model_files import tabular

CSV = "age,sex,income\n" + "39,F,<=50K\n50,M,>50K\n" * 50


class CommandLine:
    """`line("audit", "run", …)` is `auditor audit run …` against the real service in this process."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self.capture = capture

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        transport = httpx.WSGITransport(app=application, raise_app_exceptions=False)  # type: ignore[arg-type]  # Django's handler
        session = Session(transport=transport, sleep=lambda seconds: None)
        code = cli.run([str(argument) for argument in arguments], session)
        read = self.capture.readouterr()
        return code, read.out, read.err


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """Requests share the test's connection, and so its transaction, as with Django's own test client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def line(
    engineer: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("AUDITOR_URL", "http://localhost")
    monkeypatch.setenv("AUDITOR_TOKEN", issue_token(user=engineer, name="CI", scopes=["read", "submit"])[1])
    return CommandLine(capsys)


def test_who_am_i(line: CommandLine) -> None:
    code, out, err = line("whoami")
    assert code == 0, err
    assert "Erin" in out
    assert "Credit: engineer" in out


def test_a_model_and_data_are_pushed_once_and_an_audit_is_planned(
    line: CommandLine, tmp_path: Path, release_gate: PolicyVersion
) -> None:
    folder = tabular(tmp_path / "model")
    (folder / "README.md").write_bytes(b"")  # an empty file has no bytes to send
    push = ("model", "push", "risk", "--version", "1.0", "--modality", "tabular", folder)
    code, out, err = line(*push)
    assert code == 0, err
    assert out.startswith(f"risk@1.0 {ModelVersion.objects.get().digest}")
    code, out, err = line(*push)
    assert code == 0, err
    assert ModelVersion.objects.count() == 1

    data = tmp_path / "adult.csv"
    data.write_text(CSV)
    code, out, err = line(
        *("data", "push", "adult", "--version", "1", "--target", "income", "--sensitive", "sex"),
        *("--favourable", ">50K", "--egress", "https://API.example.org/", data),
    )
    assert code == 0, err
    assert DatasetVersion.objects.get().egress == ["https://api.example.org"]
    assert DatasetVersion.objects.get().roles == {"age": "input", "sex": "sensitive", "income": "target"}

    code, out, err = line(
        "audit", "run", "risk@1.0", "--data", "adult@1", "--policy", "release-gate", "--dry-run"
    )
    assert code == 0, err
    assert "fairness.group" in out
    assert "at most 100 queries" in out
    assert "points of a rate" in out


def test_a_pickle_is_refused_with_what_to_do(line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.pkl").write_bytes(b"\x80\x04.")
    code, _, err = line(
        "model", "push", "risk", "--version", "1.0", "--modality", "tabular", tmp_path / "model"
    )
    assert code == 2
    assert "skops.io.dump" in err
    assert not ModelVersion.objects.exists()
    assert Upload.objects.get().state == Upload.State.QUARANTINED


def test_the_gate_is_closed_for_files_without_a_card(line: CommandLine, tmp_path: Path) -> None:
    code, out, err = line("gate", tabular(tmp_path / "model"))
    assert code == 3, err
    assert "CLOSED" in out


def test_a_wrong_token_is_not_allowed(line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDITOR_TOKEN", "audp_wrong")
    code, _, err = line("whoami")
    assert code == 4
    assert "auditor login" in err
