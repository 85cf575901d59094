"""The attacks that a sandboxed evaluation leaves are kept as they are; what is no such file costs the run nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor.audits import leases
from auditor.audits.models import Artifact, Audit, EvaluationRun, Metric, RunStatus
from auditor.core import store
from workers import supervise
from workers.isolation import sandbox

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

GOOD = b"PAR1 of which nothing is read here PAR1"
LEAVING = """
import pathlib, sys
from evaluations.runner import main
code = main(sys.argv[1:])
folder = pathlib.Path(sys.argv[-1], "artefacts")
folder.mkdir()
file = folder / "attacks.parquet"
{statement}
sys.exit(code)
"""


def carried_out(audit: Audit, monkeypatch: pytest.MonkeyPatch, statement: str) -> EvaluationRun:
    """The audit's first run, whose judging child also carries out `statement`."""
    launch = sandbox.launch

    def leaving(argv: list[str], **how: Any) -> sandbox.Child:
        if argv[3] == "merge":
            argv = [sys.executable, "-c", LEAVING.format(statement=statement), *argv[3:]]
        return launch(argv, **how)

    monkeypatch.setattr(sandbox, "launch", leaving)
    run = leases.claim("w1")
    assert run is not None
    supervise.supervise(run, "w1")
    run.refresh_from_db()
    return run


def test_attacks_of_a_sandboxed_run_arrive_byte_for_byte(
    small_audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = carried_out(small_audit, monkeypatch, f"file.write_bytes({GOOD!r})")
    assert (run.status, run.reason) == (RunStatus.SUCCEEDED, "")
    kept = Artifact.objects.get(run=run, kind=Artifact.Kind.ATTACKS)
    assert store.get(kept.sha256) == GOOD
    assert (kept.size, kept.media_type) == (len(GOOD), "application/vnd.apache.parquet")
    assert run.warnings == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("file.write_bytes(b'PAR1' + bytes(200_000) + b'PAR1')", "100000 are allowed"),
        ("file.write_bytes(b'<html>')", "no Parquet"),
    ],
    ids=["large", "garbage"],
)
def test_what_is_no_file_of_attacks_is_refused_and_the_run_still_counts(
    small_audit: Audit, monkeypatch: pytest.MonkeyPatch, statement: str, said: str
) -> None:
    monkeypatch.setattr(supervise, "ATTACKS_BYTES", 100_000)
    run = carried_out(small_audit, monkeypatch, statement)
    assert run.status == RunStatus.SUCCEEDED
    assert Metric.objects.filter(run=run, name="accuracy").exists()
    assert not Artifact.objects.filter(run=run, kind=Artifact.Kind.ATTACKS).exists()
    [warning] = run.warnings
    assert warning.startswith("The successful attacks were not kept")
    assert said in warning


@pytest.mark.parametrize(
    "make", [lambda file: file.symlink_to("/etc/hostname"), os.mkfifo], ids=["link", "pipe"]
)
def test_what_the_sandbox_should_not_have_let_be_made_is_not_followed(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    file = tmp_path / supervise.ATTACKS
    file.parent.mkdir()
    make(file)
    data, said = supervise._attacks(tmp_path)
    assert data == b""
    assert "not a plain file" in said
