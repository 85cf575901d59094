"""The attacks that a sandboxed evaluation leaves are kept as they are; what is no such file costs the run nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditor.audits import keeping, leases, services
from auditor.audits.models import Artifact, Audit, EvaluationRun, Metric, RunStatus
from auditor.core import store
from auditor.core.access import Principal
from auditor.policies.services import ensure_builtin, publish
from auditor.registry import attack_tables
from auditor.registry.models import DatasetVersion, ModelVersion
from tests.workers.conftest import ROLES
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


def carried_out(audit: Audit) -> EvaluationRun:
    """The audit's first run, ended."""
    run = leases.claim("w1")
    assert run is not None
    assert run.audit_id == audit.pk
    supervise.supervise(run, "w1")
    run.refresh_from_db()
    return run


def leaving(audit: Audit, monkeypatch: pytest.MonkeyPatch, statement: str) -> EvaluationRun:
    """The audit's first run, whose judging child also carries out `statement`."""
    launch = sandbox.launch

    def changed(argv: list[str], **how: Any) -> sandbox.Child:
        if argv[3] == "merge":
            argv = [sys.executable, "-c", LEAVING.format(statement=statement), *argv[3:]]
        return launch(argv, **how)

    monkeypatch.setattr(sandbox, "launch", changed)
    return carried_out(audit)


def test_attacks_of_a_sandboxed_run_arrive_byte_for_byte(
    small_audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = leaving(small_audit, monkeypatch, f"file.write_bytes({GOOD!r})")
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
    run = leaving(small_audit, monkeypatch, statement)
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


EVASION = """
schema: policy/1
name: evasion
title: Evasion
suite:
  - {item: evasion, evaluation: robustness.tabular_evasion, params: {examples: 20, max_cost: 5}}
controls:
  - {id: ROB-01, title: Evaded, area: robustness, item: evasion, metric: attack_success_rate,
     comparison: "<=", limit: 0.5}
"""


def test_what_an_audit_broke_is_kept_and_breaks_the_same_model_again(
    as_engineer: Principal, small_version: ModelVersion, small_data: DatasetVersion
) -> None:
    """The whole way: attacked in the sandbox, kept by a person, tried again on the model that it misled."""
    audit = services.submit(
        principal=as_engineer,
        model_version=small_version,
        dataset_version=small_data,
        policy_versions=[publish(principal=None, source=EVASION)],
    )
    attacked = carried_out(audit)
    assert (attacked.status, attacked.reason) == (RunStatus.SUCCEEDED, "")
    rate = Metric.objects.get(run=attacked, name="attack_success_rate")
    kept = keeping.keep_attacks(principal=as_engineer, audit=audit, item="evasion", name="people-attacks")
    assert kept.added == round(rate.value * rate.n) > 0
    assert kept.version.roles == {**ROLES, **attack_tables.OWN}
    known = {version.policy.name: version for version in ensure_builtin()}["known-attacks"]
    again = services.submit(
        principal=as_engineer,
        model_version=small_version,
        dataset_version=kept.version,
        policy_versions=[known],
    )
    tried = carried_out(again)
    assert (tried.status, tried.reason) == (RunStatus.SUCCEEDED, "")
    withstood = {m.slice: (m.value, m.n) for m in Metric.objects.filter(run=tried)}
    assert withstood == {"all": (0.0, kept.added), "recipe=feasible_evasion": (0.0, kept.added)}
