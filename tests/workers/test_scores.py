"""Answers kept between runs: copied as hostile files, by team and model, an endpoint's for one audit."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from auditor.accounts.models import Team, User
from auditor.audits import services
from auditor.audits.models import Audit, EvaluationRun, RunStatus
from auditor.core.access import Principal
from auditor.policies.models import PolicyVersion
from auditor.registry.models import DatasetVersion, ModelVersion
from evaluations.endpoints import EndpointSpec, RestMapping
from tests.endpoints import put_endpoint
from tests.factories import a_model, a_version
from workers import scores, supervise
from workers.isolation import collect

pytestmark = pytest.mark.django_db
NAME = "a" * 64 + "-" + "0" * 12 + ".parquet"
OTHER = "b" * 64 + "-" + "1" * 12 + ".parquet"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: LazySettings) -> None:
    settings.SCORES_DIR = tmp_path / "scores"
    settings.RUNS_DIR = tmp_path / "runs"
    settings.ARTIFACTS_DIR = tmp_path / "artifacts"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """What a child left: one file of answers."""
    place = tmp_path / "runs" / "run_x" / "out"
    (place / "scores").mkdir(parents=True)
    (place / "scores" / NAME).write_bytes(b"answers")
    return place


def audit_of(
    who: Principal, model: ModelVersion, data: DatasetVersion, policy: PolicyVersion, **more: Any
) -> Audit:
    return services.submit(
        principal=who, model_version=model, dataset_version=data, policy_versions=[policy], **more
    )


@pytest.fixture
def audit(
    as_engineer: Principal, income: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion
) -> Audit:
    return audit_of(as_engineer, income, adult, release_gate)


@pytest.fixture
def served(team: Team, engineer: User) -> ModelVersion:
    spec = EndpointSpec(protocol="rest", url="https://models.example.org", rest=RestMapping())
    return put_endpoint(team, engineer, spec, labels=("<=50K", ">50K"))


@pytest.fixture
def shown(adult: DatasetVersion) -> DatasetVersion:
    fields = {
        f.name: getattr(adult, f.name) for f in DatasetVersion._meta.fields if f.name not in ("id", "version")
    }
    return DatasetVersion.objects.create(**{**fields, "version": "shown", "egress": ["any"]})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_answers_of_files_are_kept_for_every_later_audit_of_the_model(
    audit: Audit,
    out: Path,
    income: ModelVersion,
    as_engineer: Principal,
    adult: DatasetVersion,
    release_gate: PolicyVersion,
) -> None:
    scores.keep(out, audit, income)
    later = audit_of(as_engineer, income, adult, release_gate)
    assert names(scores.folder(later, income)) == [NAME]
    assert (scores.folder(later, income) / NAME).read_bytes() == b"answers"
    assert names(out.parent) == ["out"]  # nothing is left beside it
    assert names(out) == []


def test_another_teams_model_of_the_same_files_has_none_of_them(
    audit: Audit, out: Path, income: ModelVersion, stranger: User
) -> None:
    scores.keep(out, audit, income)
    theirs = Team.objects.get(name="Elsewhere")
    copy = ModelVersion.objects.get(pk=income.pk)
    copy.model.team = theirs
    assert names(scores.folder(audit, copy)) == []


def test_what_is_no_plain_file_of_answers_stays_out(
    audit: Audit, out: Path, income: ModelVersion, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    left = out / "scores"
    (left / "shard-000.parquet").write_bytes(b"x")
    (left / ("A" * 64 + "-000000000000.parquet")).write_bytes(b"x")
    scores.keep(out, audit, income)
    assert names(scores.folder(audit, income)) == [NAME]

    for trick in (
        lambda place: (place.mkdir(), (place / OTHER).symlink_to(secret)),
        lambda place: place.symlink_to(secret.parent),
        lambda place: (place.mkdir(), os.link(secret, place / OTHER)),
        lambda place: (place.mkdir(), os.mkfifo(place / OTHER)),
        lambda place: (place.mkdir(), (place / "deep").mkdir(), (place / "deep" / OTHER).write_bytes(b"x")),
        lambda place: place.write_bytes(b"x"),
    ):
        trick(left)
        scores.keep(out, audit, income)
        assert names(scores.folder(audit, income)) == [NAME]
        assert names(out.parent) == ["out"]
        assert secret.read_text() == "hunter2"


def test_answers_of_an_endpoint_hold_for_one_audit(
    as_engineer: Principal,
    served: ModelVersion,
    shown: DatasetVersion,
    release_gate: PolicyVersion,
    out: Path,
) -> None:
    first = audit_of(as_engineer, served, shown, release_gate)
    scores.keep(out, first, served)
    assert names(scores.folder(first, served)) == [NAME]
    assert names(scores.folder(audit_of(as_engineer, served, shown, release_gate), served)) == []


@pytest.mark.parametrize(
    ("ended", "taken_over"),
    [(RunStatus.ERRORED, [NAME]), (RunStatus.LOST, [NAME]), (RunStatus.SUCCEEDED, [])],
)
def test_an_audit_that_was_not_finished_is_gone_on_from_by_the_one_that_supersedes_it(
    as_engineer: Principal,
    served: ModelVersion,
    shown: DatasetVersion,
    release_gate: PolicyVersion,
    out: Path,
    ended: str,
    taken_over: list[str],
) -> None:
    first = audit_of(as_engineer, served, shown, release_gate)
    EvaluationRun.objects.update(status=RunStatus.SUCCEEDED)
    EvaluationRun.objects.filter(item="classification").update(status=ended)
    scores.keep(out, first, served)
    second = audit_of(as_engineer, served, shown, release_gate, supersedes=first)
    assert names(scores.folder(second, served)) == taken_over


def test_a_worker_that_is_killed_while_it_takes_answers_over_leaves_none_behind(
    as_engineer: Principal,
    served: ModelVersion,
    shown: DatasetVersion,
    release_gate: PolicyVersion,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = audit_of(as_engineer, served, shown, release_gate)
    scores.keep(out, first, served)
    second = audit_of(as_engineer, served, shown, release_gate, supersedes=first)
    kept = os.link

    def killed(*names: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", killed)  # ends as a kill does: nothing is cleared up here
    with pytest.raises(KeyboardInterrupt):
        scores.folder(second, served)
    monkeypatch.setattr(os, "link", kept)
    assert names(scores.folder(second, served)) == [NAME]


def test_answers_of_an_endpoint_that_changed_are_forgotten(
    as_engineer: Principal,
    served: ModelVersion,
    shown: DatasetVersion,
    release_gate: PolicyVersion,
    out: Path,
) -> None:
    audit = audit_of(as_engineer, served, shown, release_gate)
    scores.keep(out, audit, served)
    scores.forget(audit, served)
    assert names(scores.folder(audit, served)) == []


def test_what_a_killed_worker_left_is_kept_when_its_folder_is_swept(
    audit: Audit, out: Path, income: ModelVersion
) -> None:
    run = audit.runs.first()
    assert run is not None
    out.parent.rename(out.parent.with_name(run.pk))
    EvaluationRun.objects.filter(pk=run.pk).update(status=RunStatus.LOST)
    supervise.sweep()
    assert names(scores.folder(audit, income)) == [NAME]
    assert not list(out.parent.parent.iterdir())


def test_what_a_reference_answered_to_a_killed_worker_is_its_own_and_kept(
    audit: Audit, out: Path, income: ModelVersion, team: Team, engineer: User
) -> None:
    base = a_version(a_model(team, engineer, name="base"), digest="ba5e")
    pinned = {f.name: getattr(audit, f.name) for f in Audit._meta.fields if f.name not in ("id", "ordinal")}
    referred = Audit.objects.create(**{**pinned, "ordinal": 2, "reference_version": base})
    run = EvaluationRun.objects.create(
        audit=referred,
        item="members",
        position=0,
        evaluation="privacy.membership",
        evaluation_version="1",
        status=RunStatus.LOST,
    )
    out.parent.rename(out.parent.with_name(run.pk))
    theirs = out.parent.with_name(run.pk) / "reference" / "scores"
    theirs.mkdir(parents=True)
    (theirs / OTHER).write_bytes(b"answers of the reference")
    supervise.sweep()
    assert names(scores.folder(referred, income)) == [NAME]
    assert names(scores.folder(referred, base)) == [OTHER]


def test_a_keeper_that_is_killed_loses_nothing(
    audit: Audit, out: Path, income: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = os.fork()
    if keeper == 0:
        monkeypatch.setattr(
            collect, "copy_files", lambda *ignored, **more: os.kill(os.getpid(), signal.SIGKILL)
        )
        scores.keep(out, audit, income)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1]) == -signal.SIGKILL
    (out / "scores").mkdir()
    (out / "scores" / OTHER).write_bytes(b"more")  # a child that outlived it went on
    scores.keep(out, audit, income)
    assert names(scores.folder(audit, income)) == [NAME, OTHER]
    assert names(out.parent) == ["out"]


def test_old_answers_are_swept_and_the_oldest_when_there_are_too_many(
    audit: Audit, income: ModelVersion, settings: LazySettings
) -> None:
    settings.SCORES_KEEP_DAYS, settings.SCORES_MAX_BYTES = 30, 250
    place, now = scores.folder(audit, income), time.time()
    for number, days in enumerate((40, 20, 10, 5, 1)):
        path = place / f"{number:064x}-{number:012x}.parquet"
        path.write_bytes(b"x" * 100)
        os.utime(path, (now - days * 86400,) * 2)
    scores.sweep(now)
    assert [int(name[:64], 16) for name in names(place)] == [3, 4]
    scores.sweep(now + 20 * 86400)
    assert place.is_dir()  # somebody may be about to use it
    scores.sweep(now + 60 * 86400)
    assert not place.exists()
    assert scores.folder(audit, income).is_dir()
