"""`auditor report …` and `auditor verify`: files in, files out, and the exit code of a file that does not verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditor.client import verify
from auditor.client.verify import TrustError, Verification
from tests.unit.cli import CommandLine
from tests.unit.stub_service import Service


def audit_with(service: Service, *cards: str) -> None:
    service.audit_states = [
        {"id": "aud_1", "status": "completed", "cards": [{"id": card, "policy": card} for card in cards]}
    ]
    service.cards = {card: {"id": card} for card in cards}


@pytest.mark.parametrize("of", ["aud_1", "rc_1"])
def test_a_report_is_had_by_its_number_or_its_audits(
    auditor: CommandLine, service: Service, tmp_path: Path, of: str
) -> None:
    audit_with(service, "rc_1")
    assert auditor("report", "pdf", of, "-o", tmp_path / "r.pdf").code == 0
    assert (tmp_path / "r.pdf").read_bytes() == b"%PDF-1.7"


def test_the_json_report_carries_its_proof(auditor: CommandLine, service: Service) -> None:
    audit_with(service, "rc_1")
    assert set(json.loads(auditor("report", "json", "rc_1").out)) == {"schema", "card", "proof"}


@pytest.mark.parametrize("of", ["aud_1", "rc_1"])
def test_a_bill_of_materials_is_printed_or_written(
    auditor: CommandLine, service: Service, tmp_path: Path, of: str
) -> None:
    audit_with(service, "rc_1")
    assert json.loads(auditor("report", "ml-bom", of).out) == {"bomFormat": "CycloneDX"}
    assert auditor("report", "ml-bom", of, "-o", tmp_path / "bom.json").out == ""
    assert json.loads((tmp_path / "bom.json").read_bytes()) == {"bomFormat": "CycloneDX"}


@pytest.mark.parametrize(
    ("cards", "words"), [((), "no report card yet"), (("rc_1", "rc_2"), "name one: rc_1 (rc_1)")]
)
def test_an_audit_without_one_single_card_says_so(
    auditor: CommandLine, service: Service, tmp_path: Path, cards: tuple[str, ...], words: str
) -> None:
    audit_with(service, *cards)
    done = auditor("report", "pdf", "aud_1", "-o", tmp_path / "r.pdf")
    assert done.code == 2
    assert words in done.err


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the next verification finds."""
    found: dict[str, Any] = {"kind": "pdf", "integrity": "verified", "signer": "unknown", "key_id": "ab" * 32}
    found |= {"time": "2026-11-22T03:00:00Z", "ledger_index": 4, "ledger_size": 5}
    monkeypatch.setattr(verify, "verify_file", lambda path, trust: Verification(**found))
    return found


def test_integrity_signer_and_time_are_told_apart(
    auditor: CommandLine, finds: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "r.pdf").touch()
    done = auditor("verify", tmp_path / "r.pdf")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[:4]] == [
        "Integrity",
        "Signer",
        "Time",
        "Ledger",
    ]
    assert "own clock" in done.out


@pytest.mark.parametrize(
    ("findings", "options", "code"),
    [
        ({}, (), 0),
        ({}, ("--strict",), 7),
        ({"signer": "trusted"}, ("--strict",), 0),
        ({"integrity": "broken", "problems": ("The card was changed.",)}, (), 7),
        ({"problems": ("Signer unknown.",)}, (), 7),
    ],
)
def test_what_does_not_verify_exits_with_7(
    auditor: CommandLine,
    finds: dict[str, Any],
    tmp_path: Path,
    findings: dict[str, Any],
    options: tuple[str, ...],
    code: int,
) -> None:
    (tmp_path / "r.pdf").touch()
    finds |= findings
    done = auditor("verify", tmp_path / "r.pdf", *options)
    assert done.code == code
    for problem in findings.get("problems", ()):
        assert problem in done.out


def test_findings_can_be_read_by_a_program(
    auditor: CommandLine, finds: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "r.pdf").touch()
    assert json.loads(auditor("verify", tmp_path / "r.pdf", "--json").out)["signer"] == "unknown"


def test_a_missing_file_or_key_is_a_mistake_in_the_command(
    auditor: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert auditor("verify", tmp_path / "none.pdf").code == 2
    (tmp_path / "r.pdf").touch()

    def no_key(path: Path, trust: str) -> Verification:
        raise TrustError("That is no key.")

    monkeypatch.setattr(verify, "verify_file", no_key)
    assert auditor("verify", tmp_path / "r.pdf", "--trust", "x").code == 2


def test_any_other_file_does_not_verify(auditor: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("hello", encoding="utf-8")
    done = auditor("verify", tmp_path / "r.txt")
    assert done.code == 7
    assert "Problem" in done.out
