"""`auditor login` and `auditor whoami`: where the token is kept, and to whom it is sent."""

from __future__ import annotations

import io
import stat
import sys
from pathlib import Path

import pytest

from auditor.client import config
from tests.unit.cli import CommandLine, prepare
from tests.unit.stub_service import TOKEN, Service


@pytest.fixture
def newcomer(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """Somebody without a token."""
    prepare(monkeypatch, tmp_path / "home", token="")
    return CommandLine(service, capsys)


def log_in(newcomer: CommandLine, monkeypatch: pytest.MonkeyPatch, token: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(token + "\n"))
    return newcomer("login", "--url", "https://auditor.test/", "--token-stdin").code


def test_without_a_token_nothing_is_sent(newcomer: CommandLine, service: Service) -> None:
    done = newcomer("whoami")
    assert done.code == 4
    assert "auditor login" in done.err
    assert service.log == []


def test_the_token_is_checked_then_kept_where_only_its_owner_reads(
    newcomer: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log_in(newcomer, monkeypatch, TOKEN) == 0
    assert stat.S_IMODE(config.config_file().stat().st_mode) == 0o600
    monkeypatch.delenv("AUDITOR_URL")
    done = newcomer("whoami")
    assert done.code == 0
    assert done.out.splitlines() == [
        "Erin at https://auditor.test",
        "  Credit: engineer",
        "  this token may: read, submit",
    ]


def test_a_token_that_the_service_refuses_is_not_kept(
    newcomer: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log_in(newcomer, monkeypatch, "audp_wrong") == 4
    assert not config.config_file().exists()


def test_a_kept_token_is_never_sent_to_another_service(
    newcomer: CommandLine, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(newcomer, monkeypatch, TOKEN)
    service.log.clear()
    assert newcomer("--url", "https://elsewhere.test", "whoami").code == 4
    assert service.log == []


def test_the_environment_wins_over_the_file(
    newcomer: CommandLine, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(newcomer, monkeypatch, TOKEN)
    monkeypatch.setenv("AUDITOR_TOKEN", "audp_other")
    assert newcomer("whoami").code == 4  # the stub knows only TOKEN


def test_a_damaged_file_says_how_to_mend_it(newcomer: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(newcomer, monkeypatch, TOKEN)
    config.config_file().write_text("{", encoding="utf-8")
    done = newcomer("whoami")
    assert done.code == 2
    assert "auditor login" in done.err
