"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli import CommandLine, prepare
from tests.unit.stub_service import Service


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def auditor(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line of a signed-in user, in a home folder of their own."""
    prepare(monkeypatch, tmp_path / "home")
    return CommandLine(service, capsys)
