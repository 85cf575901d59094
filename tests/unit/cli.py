"""Calls the command line in this process, against the stub service, and collects what it wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from auditor.client import cli
from auditor.client.session import Session
from tests.unit.stub_service import TOKEN, Service


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@dataclass
class CommandLine:
    """`line("audit", "run", …)` is `auditor audit run …`."""

    service: Service
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path) -> Outcome:
        session = Session(transport=self.service.transport, sleep=self.service.slept.append)
        code = cli.run([str(argument) for argument in arguments], session)
        read = self.capture.readouterr()
        return Outcome(code, read.out, read.err)


def prepare(monkeypatch: pytest.MonkeyPatch, folder: Path, token: str = TOKEN) -> None:
    """The environment of a signed-in user with a home of their own."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("AUDITOR_DEBUG", raising=False)
    monkeypatch.setenv("AUDITOR_URL", "https://auditor.test")
    if token:
        monkeypatch.setenv("AUDITOR_TOKEN", token)
    else:
        monkeypatch.delenv("AUDITOR_TOKEN", raising=False)
