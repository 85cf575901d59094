"""One run's life: a real child in the sandbox, from the claim to the stored result."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.conf import settings as django_settings

from auditor.accounts.models import Team, User
from auditor.audits import leases, services
from auditor.audits.models import Artifact, Audit, AuditStatus, EvaluationRun, Metric, RunStatus
from auditor.core import store
from auditor.core.access import Principal
from auditor.policies.models import PolicyVersion
from auditor.registry.models import DatasetVersion, ModelVersion
from tests.workers import hostile
from tests.workers.conftest import ROLES, put_model, put_table
from workers import passes, supervise
from workers.isolation import sandbox

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def first_run(audit: Audit) -> EvaluationRun:
    run = leases.claim("w1")
    assert run is not None
    assert run.audit_id == audit.pk
    return run


def carried_out(audit: Audit) -> EvaluationRun:
    run = first_run(audit)
    supervise.supervise(run, "w1")
    run.refresh_from_db()
    return run


def test_a_run_ends_with_its_metrics_its_files_and_the_isolation_it_had(small_audit: Audit) -> None:
    run = carried_out(small_audit)
    assert (run.status, run.reason) == (RunStatus.SUCCEEDED, "")
    accuracy = Metric.objects.get(run=run, name="accuracy")
    assert 0.9 < accuracy.value <= 1
    assert accuracy.ci_low < accuracy.value < accuracy.ci_high
    assert accuracy.n == 600
    assert run.isolation["summary"]
    assert run.environment["python"]
    kinds = set(Artifact.objects.filter(run=run).values_list("kind", flat=True))
    assert {"chart", "records"} <= kinds
    assert not (django_settings.RUNS_DIR / run.pk).exists()


def test_the_request_tells_the_child_no_secret(small_audit: Audit) -> None:
    told = passes.request_for(first_run(small_audit)).model_dump_json()
    assert django_settings.SECRET_KEY not in told
    assert django_settings.DATABASES["default"]["PASSWORD"] not in told


def audit_of(principal: Principal, model: ModelVersion, data: DatasetVersion, policy: PolicyVersion) -> Audit:
    return services.submit(
        principal=principal, model_version=model, dataset_version=data, policy_versions=[policy]
    )


def test_a_target_that_the_model_does_not_know_is_an_error_that_names_both(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    small_version: ModelVersion,
    release_gate: PolicyVersion,
) -> None:
    table = b"age,hours,sex,income\n" + b"0.1,0.2,Male,rich\n0.3,0.1,Female,poor\n" * 10
    data = put_table(team, engineer, "wrong", table, ROLES)
    run = carried_out(audit_of(as_engineer, small_version, data, release_gate))
    assert run.status == RunStatus.ERRORED
    assert "rich" in run.reason
    assert ">50K" in run.reason
    assert not Metric.objects.exists()


def test_a_model_file_that_is_not_what_it_says_is_an_error_not_a_crash(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    small_data: DatasetVersion,
    release_gate: PolicyVersion,
) -> None:
    broken = put_model(team, engineer, "broken", "model.onnx", b"\x08\x07 not a graph", [])
    run = carried_out(audit_of(as_engineer, broken, small_data, release_gate))
    assert run.status == RunStatus.ERRORED
    assert run.reason_code != "crashed"


def test_a_child_that_crashes_ends_its_run_with_the_signal_named(
    small_audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = sandbox.launch

    def launch_and_crash(*args: object, **kwargs: object) -> sandbox.Child:
        child = launch(*args, **kwargs)
        os.kill(child.pid, signal.SIGSEGV)
        return child

    monkeypatch.setattr(sandbox, "launch", launch_and_crash)
    run = carried_out(small_audit)
    assert (run.status, run.reason_code) == (RunStatus.ERRORED, "crashed")
    assert "SIGSEGV" in run.reason


@pytest.mark.parametrize(
    "line",
    [
        '{"done": 1, "total": 2, "message": "a\\u0000b"}',
        f'{{"done": {10**30}, "total": -1}}',
        '{"done": -1, "total": 2}',
    ],
)
def test_no_progress_that_a_child_writes_ends_more_than_its_display(
    small_audit: Audit, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    read = supervise.collect.read_file

    def odd(out: Path, name: str, **caps: int) -> bytes:
        return f"{line}\n".encode() if name == "progress.jsonl" else read(out, name, **caps)

    monkeypatch.setattr(supervise.collect, "read_file", odd)
    run = carried_out(small_audit)
    assert run.status == RunStatus.SUCCEEDED
    assert "\0" not in run.progress_message


@pytest.mark.django_db(transaction=True)
def test_a_result_that_cannot_be_stored_ends_its_run_with_a_reason(
    small_audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = supervise._judge

    def with_a_nul(*args: Any) -> Any:
        result, device = judge(*args)
        return result.model_copy(update={"warnings": ("a\0b",)}), device

    monkeypatch.setattr(supervise, "_judge", with_a_nul)
    run = carried_out(small_audit)
    assert (run.status, run.reason_code) == (RunStatus.ERRORED, "invalid_result")
    assert not Metric.objects.exists()


def test_a_model_that_never_answers_is_ended_at_the_time_limit(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    small_data: DatasetVersion,
    release_gate: PolicyVersion,
    settings: LazySettings,
) -> None:
    settings.RUN_WALL_SECONDS = 8
    model = put_model(team, engineer, "endless", "model.onnx", hostile.that_never_ends(), ["<=50K", ">50K"])
    run = carried_out(audit_of(as_engineer, model, small_data, release_gate))
    assert (run.status, run.reason_code) == (RunStatus.TIMED_OUT, "time_limit")
    assert "RUN_WALL_SECONDS" in run.reason


def test_a_model_that_eats_memory_is_ended_and_the_limit_named(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    small_data: DatasetVersion,
    release_gate: PolicyVersion,
    settings: LazySettings,
) -> None:
    settings.RUN_MEMORY_BYTES = 2 * 2**30
    model = put_model(team, engineer, "greedy", "model.onnx", hostile.that_eats_memory(), ["<=50K", ">50K"])
    run = carried_out(audit_of(as_engineer, model, small_data, release_gate))
    assert (run.status, run.reason_code) == (RunStatus.ERRORED, "out_of_memory")
    assert "memory" in run.reason


def test_a_full_artefact_folder_is_named_and_leaves_no_half_made_rows(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    small_version: ModelVersion,
    small_table: bytes,
    release_gate: PolicyVersion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fewer = b"".join(small_table.splitlines(keepends=True)[:564])  # results that no other test has stored
    data = put_table(team, engineer, "fewer", fewer, ROLES)
    audit = audit_of(as_engineer, small_version, data, release_gate)

    def full(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = first_run(audit)
    with monkeypatch.context() as patch:
        patch.setattr(store.os, "replace", full)
        supervise.supervise(run, "w1")
    run.refresh_from_db()
    assert (run.status, run.reason_code) == (RunStatus.ERRORED, "disk_full")
    assert str(store.root()) in run.reason
    assert not Metric.objects.exists()
    assert not Artifact.objects.exists()
    assert not list(Path(store.root()).rglob(".part-*"))


def test_a_cancel_ends_the_child_at_the_next_heartbeat(small_audit: Audit, as_engineer: Principal) -> None:
    run = first_run(small_audit)
    small_audit.refresh_from_db()
    services.request_cancel(principal=as_engineer, audit=small_audit)
    supervise.supervise(run, "w1")
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert services.finish_cancel(small_audit)
    small_audit.refresh_from_db()
    assert small_audit.status == AuditStatus.CANCELLED


def test_a_supervisor_whose_lease_was_taken_writes_nothing(small_audit: Audit) -> None:
    run = first_run(small_audit)
    EvaluationRun.objects.filter(pk=run.pk).update(owner="another")
    supervise.supervise(run, "w1")
    run.refresh_from_db()
    assert (run.status, run.owner) == (RunStatus.RUNNING, "another")
    assert not Metric.objects.exists()


def test_folders_of_runs_that_no_longer_run_are_swept(small_audit: Audit) -> None:
    run = first_run(small_audit)
    for name in (run.pk, "run_of_a_killed_worker"):
        (django_settings.RUNS_DIR / name).mkdir(parents=True)
    supervise.sweep()
    assert [f.name for f in django_settings.RUNS_DIR.iterdir()] == [run.pk]


def test_the_folder_of_a_run_that_is_claimed_during_a_sweep_stays(
    small_audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Path.iterdir
    claimed: list[str] = []
    django_settings.RUNS_DIR.mkdir(parents=True, exist_ok=True)

    def claims_meanwhile(folder: Path) -> Iterator[Path]:
        if folder == django_settings.RUNS_DIR and not claimed:
            claimed.append(first_run(small_audit).pk)
            (folder / claimed[0]).mkdir()
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", claims_meanwhile)
    supervise.sweep()
    assert (django_settings.RUNS_DIR / claimed[0]).is_dir()
