"""What the command line does when the service refuses, is absent, or answers nonsense: each has its exit code."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from auditor.client import audit_commands, cli
from tests.unit.cli import CommandLine, prepare
from tests.unit.stub_service import Service, problem


@pytest.mark.parametrize(
    ("status", "code"), [(401, 4), (403, 4), (404, 2), (409, 2), (413, 2), (422, 2), (500, 70), (507, 70)]
)
def test_a_refusal_has_its_exit_code_and_its_words(
    auditor: CommandLine, service: Service, status: int, code: int
) -> None:
    service.failures = [problem(status, "code", "This is why, and what to do.")]
    done = auditor("whoami")
    assert done.code == code
    assert "This is why, and what to do." in done.err


def test_a_fault_of_the_service_names_the_request(auditor: CommandLine, service: Service) -> None:
    service.failures = [problem(500, "internal", "Something went wrong.")]
    assert "req-1" in auditor("whoami").err


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_and_then_counts_as_unreachable(
    auditor: CommandLine, service: Service, status: int
) -> None:
    service.failures = [problem(status, "busy", "Later.") for _ in range(9)]
    assert auditor("whoami").code == 6
    assert service.slept == [0.5, 1.0, 2.0, 4.0]


def test_a_passing_failure_is_not_noticed(auditor: CommandLine, service: Service) -> None:
    service.failures = [httpx.ConnectError("refused"), httpx.Response(502), httpx.Response(503)]
    assert auditor("whoami").code == 0


def test_the_service_says_how_long_to_wait(auditor: CommandLine, service: Service) -> None:
    service.failures = [httpx.Response(503, headers={"Retry-After": "7"})]
    auditor("whoami")
    assert service.slept == [7.0]


def test_a_repeated_request_carries_the_same_idempotency_key(
    auditor: CommandLine, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        return httpx.Response(202, json={"id": "aud_1"}) if len(keys) == 3 else httpx.Response(503)

    monkeypatch.setattr(service, "answer", answer)
    done = auditor("audit", "run", "a@1", "--data", "b@1", "--policy", "p")
    assert done.code == 0
    assert len(set(keys)) == 1


def test_no_service_at_the_address_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(monkeypatch, tmp_path)
    with socket.socket() as held:  # bound and not listening: a connection is refused
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        from auditor.client.session import Session

        assert cli.run(["--url", url, "whoami"], Session(sleep=lambda seconds: None)) == 6
    assert f"The service at {url} does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, text="<html>"), httpx.Response(302, headers={"Location": "https://other.test"})],
)
def test_something_else_at_the_address_is_unreachable(
    auditor: CommandLine, service: Service, answer: httpx.Response
) -> None:
    service.failures = [answer]
    assert auditor("whoami").code == 6


def test_a_mistake_in_the_command_is_usage(auditor: CommandLine) -> None:
    assert auditor("audit", "run").code == 2
    assert auditor("no-such-command").code == 2
    assert auditor("--url", "ftp://x", "whoami").code == 2


def test_an_unexpected_error_is_never_the_code_of_a_verdict(
    auditor: CommandLine, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_commands, "show_plan", lambda plan: 1 / 0)
    done = auditor("audit", "run", "a@1", "--data", "b@1", "--policy", "p", "--dry-run")
    assert done.code == 70
    assert "ZeroDivisionError" in done.err


def test_an_answer_that_lacks_a_field_is_unexpected(auditor: CommandLine, service: Service) -> None:
    service.failures = [httpx.Response(200, json={})]
    assert auditor("whoami").code == 70


def test_a_full_disk_is_told_in_one_line(
    auditor: CommandLine, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.cards["rc_1"] = {}

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    done = auditor("report", "pdf", "rc_1", "-o", "report.pdf")
    assert done.code == 2
    assert "report.pdf: No space left on device" in done.err
