"""Uploads: resumable, checked against their digests, and either a version or nothing at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from auditor.accounts.models import Team, User
from auditor.accounts.services import principal_of
from auditor.core import store
from auditor.core.access import Principal
from auditor.core.canonical import files_digest
from auditor.core.errors import DomainError
from auditor.registry import quarantine, services, staging
from auditor.registry.models import Dataset, DatasetVersion, Model, ModelVersion, Upload
from tests.model_files import hugging_face, skops_bytes

CSV = b"age,sex,income\n39,F,<=50K\n50,M,>50K\n"
ROLES = {"age": "input", "sex": "sensitive", "income": "target"}


@pytest.fixture(autouse=True)
def folders(db: None, tmp_path: Path, settings: Any) -> Iterator[None]:
    settings.UPLOADS_DIR = tmp_path / "uploads"
    settings.ARTIFACTS_DIR = tmp_path / "artifacts"
    yield
    left = list(settings.UPLOADS_DIR.iterdir()) if settings.UPLOADS_DIR.exists() else []
    under_way = Upload.objects.exclude(state=Upload.State.QUARANTINED)
    assert {path.name for path in left} == set(under_way.values_list("pk", flat=True))


def entries(files: dict[str, bytes]) -> list[dict[str, Any]]:
    return [{"path": p, "size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for p, d in files.items()]


def manifest(files: dict[str, bytes], **more: Any) -> dict[str, Any]:
    return {"version": "1.0", "files": entries(files), **more}


def send(principal: Principal, upload: Upload, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        if data:
            services.receive(principal=principal, upload=upload, path=path, offset=0, stream=BytesIO(data))


@pytest.fixture
def model(as_engineer: Principal) -> Model:
    return services.register_model(principal=as_engineer, name="risk", modality="tabular")


@pytest.fixture
def dataset(as_engineer: Principal) -> Dataset:
    return services.register_dataset(principal=as_engineer, name="census", licence="CC BY 4.0")


@pytest.fixture
def upload(as_engineer: Principal, model: Model) -> Upload:
    files = {"model.skops": skops_bytes()}
    return services.start_upload(principal=as_engineer, kind="model", name="risk", manifest=manifest(files))


def refused(call: Any, **arguments: Any) -> DomainError:
    with pytest.raises(DomainError) as caught:
        call(**arguments)
    return caught.value


# --- names ------------------------------------------------------------------------------------


def test_registering_the_same_name_again_returns_the_same_model_unchanged(
    as_engineer: Principal, model: Model
) -> None:
    again = services.register_model(principal=as_engineer, name="risk", modality="tabular", description="new")
    assert again == model
    assert again.description == ""


def test_the_same_name_with_another_modality_is_refused(as_engineer: Principal, model: Model) -> None:
    error = refused(services.register_model, principal=as_engineer, name="risk", modality="text_classifier")
    assert error.code == "modality_differs"


def test_a_name_of_another_team_is_taken(as_stranger: Principal, model: Model) -> None:
    error = refused(services.register_model, principal=as_stranger, name="risk", modality="tabular")
    assert (error.code, error.status) == ("name_taken", 409)


def test_who_may_not_submit_may_not_register(as_reviewer: Principal) -> None:
    error = refused(services.register_model, principal=as_reviewer, name="risk", modality="tabular")
    assert error.status == 403
    assert not Model.objects.exists()


def test_every_fault_of_a_registration_is_named(as_engineer: Principal) -> None:
    error = refused(
        services.register_model, principal=as_engineer, name="No Spaces", modality="oracle", risk_tier="none"
    )
    assert {e.pointer for e in error.errors} == {"/name", "/modality", "/risk_tier"}


def test_a_person_of_two_teams_names_the_one_they_mean(engineer: User, team: Team) -> None:
    other = Team.objects.create(name="Other")
    other.memberships.create(user=engineer, role="engineer")
    principal = principal_of(engineer)
    assert refused(services.register_dataset, principal=principal, name="census").code == "team_required"
    assert services.register_dataset(principal=principal, name="census", team=other).team == other


# --- manifests --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"version": "no spaces"}, "/manifest/version"),
        ({"files": []}, "/manifest/files"),
        ({"files": entries({"../x.skops": b"a"})}, "/manifest/files/0/path"),
        ({"files": entries({"/etc/passwd": b"a"})}, "/manifest/files/0/path"),
        ({"files": entries({"a.json": b"a", "A.json": b"a"})}, "/manifest/files"),
        ({"files": entries({"a": b"a", "a/b": b"a"})}, "/manifest/files"),
        ({"files": [{"path": "a.skops", "size": -1, "sha256": "0" * 64}]}, "/manifest/files/0/size"),
        ({"files": [{"path": "a.skops", "size": 1, "sha256": "xyz"}]}, "/manifest/files/0/sha256"),
        ({"labels": ["a", "a"]}, "/manifest/labels"),
        ({"provenance": {"log": "x" * 70_000}}, "/manifest/provenance"),
        ({"surprise": 1}, "/manifest/surprise"),
    ],
)
def test_a_faulty_manifest_is_refused_with_the_place(
    as_engineer: Principal, model: Model, change: dict[str, Any], pointer: str
) -> None:
    faulty = manifest({"model.skops": b"x"}) | change
    error = refused(services.start_upload, principal=as_engineer, kind="model", name="risk", manifest=faulty)
    assert error.code == "invalid_manifest"
    assert error.errors[0].pointer == pointer
    assert not Upload.objects.exists()


def test_a_data_set_needs_one_file_of_a_known_ending(as_engineer: Principal, dataset: Dataset) -> None:
    faulty = manifest({"data.xlsx": b"x"}, roles=ROLES)
    error = refused(
        services.start_upload, principal=as_engineer, kind="dataset", name="census", manifest=faulty
    )
    assert error.errors[0].pointer == "/manifest/files"


def test_uploads_need_a_visible_target_and_the_right_to_submit(
    as_stranger: Principal, as_reviewer: Principal, model: Model
) -> None:
    arguments = {"kind": "model", "name": "risk", "manifest": manifest({"model.skops": b"x"})}
    assert refused(services.start_upload, principal=as_stranger, **arguments).status == 404
    assert refused(services.start_upload, principal=as_reviewer, **arguments).status == 403


def test_an_upload_that_cannot_fit_is_refused_before_it_starts(
    as_engineer: Principal, model: Model, settings: Any
) -> None:
    huge = manifest({"model.skops": b"x"})
    huge["files"][0]["size"] = 2**60
    arguments = {"principal": as_engineer, "kind": "model", "name": "risk", "manifest": huge}
    assert refused(services.start_upload, **arguments).status == 413
    settings.MAX_UPLOAD_BYTES = 2**61
    error = refused(services.start_upload, **arguments)
    assert (error.code, error.status) == ("disk_full", 507)
    assert not Upload.objects.exists()


def test_a_team_has_a_bounded_number_of_uploads_under_way(
    as_engineer: Principal, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "MAX_UPLOADS", 1)
    arguments = {"kind": "model", "name": "risk", "manifest": manifest({"model.skops": b"x"})}
    assert refused(services.start_upload, principal=as_engineer, **arguments).status == 429
    services.abandon_upload(principal=as_engineer, upload=upload)
    assert services.start_upload(principal=as_engineer, **arguments)


# --- bytes ------------------------------------------------------------------------------------


def test_a_broken_upload_goes_on_where_it_stopped(as_engineer: Principal, upload: Upload) -> None:
    data = skops_bytes()
    part = {"principal": as_engineer, "upload": upload, "path": "model.skops"}
    assert services.receive(**part, offset=0, stream=BytesIO(data[:100])) == 100
    assert services.received(upload) == {"model.skops": 100}
    error = refused(services.receive, **part, offset=0, stream=BytesIO(data))
    assert (error.code, error.status) == ("wrong_offset", 409)
    assert "offset 100" in error.message
    assert services.receive(**part, offset=100, stream=BytesIO(data[100:])) == len(data)
    assert isinstance(services.complete_upload(principal=as_engineer, upload=upload), ModelVersion)


def test_what_came_before_the_connection_broke_is_kept(as_engineer: Principal, upload: Upload) -> None:
    class Breaks(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(50)
            if self.tell() > 100:
                raise ConnectionResetError("peer went away")
            return data

    part = {"principal": as_engineer, "upload": upload, "path": "model.skops", "offset": 0}
    with pytest.raises(ConnectionResetError):
        services.receive(**part, stream=Breaks(skops_bytes()))
    assert services.received(upload) == {"model.skops": 100}


def test_more_bytes_than_announced_are_refused_and_not_kept(as_engineer: Principal, upload: Upload) -> None:
    part = {"principal": as_engineer, "upload": upload, "path": "model.skops"}
    services.receive(**part, offset=0, stream=BytesIO(b"x" * 10))
    error = refused(services.receive, **part, offset=10, stream=BytesIO(b"x" * 100_000))
    assert error.code == "size_exceeded"
    assert services.received(upload) == {"model.skops": 10}


def test_files_that_were_not_announced_are_refused(as_engineer: Principal, upload: Upload) -> None:
    part = {"principal": as_engineer, "upload": upload, "offset": 0, "stream": BytesIO(b"x")}
    assert refused(services.receive, **part, path="../../evil").status == 404


def test_two_requests_cannot_write_at_once(as_engineer: Principal, upload: Upload) -> None:
    part = {"principal": as_engineer, "upload": upload, "path": "model.skops", "offset": 0}
    with staging.locked(upload.pk):
        assert refused(services.receive, **part, stream=BytesIO(b"x")).code == "upload_busy"
        assert refused(services.complete_upload, principal=as_engineer, upload=upload).code == "upload_busy"


def full(*arguments: Any, **named: Any) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_while_receiving_ends_the_upload_and_keeps_nothing(
    as_engineer: Principal, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging.os, "write", full)
    part = {"principal": as_engineer, "upload": upload, "path": "model.skops", "offset": 0}
    error = refused(services.receive, **part, stream=BytesIO(skops_bytes()))
    monkeypatch.undo()
    assert (error.code, error.status) == ("disk_full", 507)
    assert "Free space" in error.message
    assert not Upload.objects.exists()


def test_a_full_disk_while_storing_makes_no_version(
    as_engineer: Principal, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(as_engineer, upload, {"model.skops": skops_bytes()})
    monkeypatch.setattr(store.os, "replace", full)
    error = refused(services.complete_upload, principal=as_engineer, upload=upload)
    assert (error.code, error.status) == ("disk_full", 507)
    assert not Upload.objects.exists()
    assert not ModelVersion.objects.exists()


# --- versions ---------------------------------------------------------------------------------


def test_a_model_version_holds_what_was_announced_and_its_files_lie_in_the_store(
    as_engineer: Principal, engineer: User, tmp_path: Path
) -> None:
    services.register_model(principal=as_engineer, name="mood", modality="text_classifier")
    folder = hugging_face(tmp_path / "model")
    files = {path.name: path.read_bytes() for path in folder.iterdir()} | {"README.md": b""}
    announced = manifest(files, labels=["neg", "pos"], provenance={"commit": "abc"})
    upload = services.start_upload(principal=as_engineer, kind="model", name="mood", manifest=announced)
    send(as_engineer, upload, files)
    version = services.complete_upload(principal=as_engineer, upload=upload)
    assert isinstance(version, ModelVersion)
    assert str(version) == "mood@1.0"
    assert version.digest == files_digest(entries(files))
    assert (version.format, version.labels, version.submitted_by) == ("safetensors", ["neg", "pos"], engineer)
    stored = store.model_folder(version.digest)
    assert {path.name: path.read_bytes() for path in stored.iterdir()} == files
    assert all(path.stat().st_mode & 0o777 == 0o444 for path in stored.iterdir())
    assert stored.stat().st_mode & 0o777 == 0o755
    assert not Upload.objects.exists()


@pytest.mark.parametrize(
    ("modality", "files", "format"),
    [
        (
            "causal_lm",
            {
                "endpoint.json": b'{"schema": "endpoint/1", "protocol": "openai_chat", "model": "m", '
                b'"url": "https://models.example.org/v1"}'
            },
            "endpoint",
        ),
        ("tabular_regression", {"model.skops": skops_bytes()}, "skops"),
    ],
)
def test_other_kinds_of_model_are_stored_with_their_format(
    modality: str, files: dict[str, bytes], format: str, as_engineer: Principal
) -> None:
    services.register_model(principal=as_engineer, name="other", modality=modality)
    upload = services.start_upload(
        principal=as_engineer, kind="model", name="other", manifest=manifest(files)
    )
    send(as_engineer, upload, files)
    version = services.complete_upload(principal=as_engineer, upload=upload)
    assert isinstance(version, ModelVersion)
    assert (version.model.modality, version.format) == (modality, format)


def test_a_data_set_version_holds_its_counts(as_engineer: Principal, dataset: Dataset) -> None:
    files = {"adult.csv": CSV}
    announced = manifest(files, roles=ROLES, favourable_label=">50K", languages=["en"], held_out=True)
    upload = services.start_upload(principal=as_engineer, kind="dataset", name="census", manifest=announced)
    send(as_engineer, upload, files)
    version = services.complete_upload(principal=as_engineer, upload=upload)
    assert isinstance(version, DatasetVersion)
    assert (version.rows, version.held_out, version.roles) == (2, True, ROLES)
    assert version.summary == {"classes": {"<=50K": 1, ">50K": 1}, "groups": {"sex": {"F": 1, "M": 1}}}
    assert store.dataset_file(version.digest, "csv").read_bytes() == CSV


def test_the_same_files_under_a_second_version_share_one_place(as_engineer: Principal, model: Model) -> None:
    files = {"model.skops": skops_bytes()}
    for number in ("1.0", "1.1"):
        announced = manifest(files) | {"version": number}
        upload = services.start_upload(principal=as_engineer, kind="model", name="risk", manifest=announced)
        send(as_engineer, upload, files)
        services.complete_upload(principal=as_engineer, upload=upload)
    first, second = ModelVersion.objects.order_by("version")
    assert first.digest == second.digest
    assert store.model_folder(first.digest).is_dir()


def test_a_version_names_its_parent(as_engineer: Principal, upload: Upload) -> None:
    send(as_engineer, upload, {"model.skops": skops_bytes()})
    first = services.complete_upload(principal=as_engineer, upload=upload)
    files = {"model.skops": skops_bytes(), "README.md": b"better"}
    announced = manifest(files, parent="risk@1.0") | {"version": "2.0"}
    second = services.start_upload(principal=as_engineer, kind="model", name="risk", manifest=announced)
    send(as_engineer, second, files)
    version = services.complete_upload(principal=as_engineer, upload=second)
    assert isinstance(version, ModelVersion)
    assert version.parent == first


def test_a_version_is_never_replaced(as_engineer: Principal, model: Model) -> None:
    files = {"model.skops": skops_bytes()}
    arguments = {"principal": as_engineer, "kind": "model", "name": "risk", "manifest": manifest(files)}
    first, second = (services.start_upload(**arguments) for _ in range(2))
    for upload in (first, second):
        send(as_engineer, upload, files)
    services.complete_upload(principal=as_engineer, upload=first)
    error = refused(services.complete_upload, principal=as_engineer, upload=second)
    assert (error.code, error.status) == ("version_exists", 409)
    assert refused(services.start_upload, **arguments).code == "version_exists"
    assert ModelVersion.objects.count() == 1


def test_an_upload_with_bytes_missing_stays_and_says_which(as_engineer: Principal, upload: Upload) -> None:
    services.receive(
        principal=as_engineer, upload=upload, path="model.skops", offset=0, stream=BytesIO(b"PK")
    )
    error = refused(services.complete_upload, principal=as_engineer, upload=upload)
    assert (error.code, error.status) == ("incomplete_upload", 409)
    assert "2 of" in error.errors[0].detail
    assert Upload.objects.filter(pk=upload.pk).exists()


def nothing_left(settings: Any) -> bool:
    versions = ModelVersion.objects.exists() or DatasetVersion.objects.exists() or Upload.objects.exists()
    stored = [path for path in Path(settings.ARTIFACTS_DIR).rglob("*") if path.is_file()]
    return not versions and not stored


def test_a_file_with_another_digest_than_announced_is_refused(
    as_engineer: Principal, upload: Upload, settings: Any
) -> None:
    damaged = bytearray(skops_bytes())
    damaged[40] ^= 1
    send(as_engineer, upload, {"model.skops": bytes(damaged)})
    error = refused(services.complete_upload, principal=as_engineer, upload=upload)
    assert error.code == "refused"
    assert error.errors[0].pointer == "/manifest/files/0/sha256"
    assert nothing_left(settings)


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/never",)


def quarantined(principal: Principal) -> Upload:
    files = {"model.skops": pickle.dumps(Payload(), protocol=4)}
    upload = services.start_upload(principal=principal, kind="model", name="risk", manifest=manifest(files))
    send(principal, upload, files)
    refused(services.complete_upload, principal=principal, upload=upload)
    return Upload.objects.get(pk=upload.pk)


def test_a_refused_model_is_quarantined_with_its_reasons_and_without_its_files(
    as_engineer: Principal, model: Model
) -> None:
    upload = quarantined(as_engineer)
    assert upload.state == Upload.State.QUARANTINED
    assert upload.digest == files_digest(upload.manifest["files"])
    assert (upload.created_by_id, bool(upload.refused_at)) == (as_engineer.user_id, True)
    assert [(r["code"], r["path"]) for r in upload.refusal["reasons"]] == [("pickle", "model.skops")]
    named = {one["engine"] for one in upload.refusal["pickles"] if "system" in one["subject"]}
    assert named == {"fickling", "modelaudit-picklescan", "picklescan"}
    assert not (staging.root() / upload.pk).exists()
    assert list(quarantine.of_model(as_engineer, model)) == [upload]


def test_a_reason_that_quotes_what_no_database_stores_is_kept(as_engineer: Principal, model: Model) -> None:
    files = {"model.skops": skops_bytes({"__loader__": "\x00\ud800\u202eevil"})}
    upload = services.start_upload(principal=as_engineer, kind="model", name="risk", manifest=manifest(files))
    send(as_engineer, upload, files)
    assert refused(services.complete_upload, principal=as_engineer, upload=upload).code == "refused"
    (reason,) = Upload.objects.get(pk=upload.pk).refusal["reasons"]
    assert reason["code"] == "skops_type"
    assert "(\ufffd\ufffd\ufffdevil)" in reason["message"]


def test_a_quarantined_upload_is_in_nobodys_way(
    as_engineer: Principal, as_stranger: Principal, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = quarantined(as_engineer)
    monkeypatch.setattr(services, "MAX_UPLOADS", 1)
    again = manifest({"model.skops": skops_bytes()})  # the same version: it was never made
    second = services.start_upload(principal=as_engineer, kind="model", name="risk", manifest=again)
    services.abandon_upload(principal=as_engineer, upload=second)
    part = {"principal": as_engineer, "upload": upload}
    assert refused(services.receive, **part, path="model.skops", offset=0, stream=BytesIO(b"x")).status == 410
    assert refused(services.complete_upload, **part).code == "upload_quarantined"
    assert refused(services.abandon_upload, principal=as_stranger, upload=upload).status == 403
    services.abandon_upload(**part)
    assert not Upload.objects.exists()


def test_quarantined_uploads_are_bounded_and_forgotten_in_time(
    as_engineer: Principal, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_KEPT", 2)
    monkeypatch.setattr(quarantine.pickle_scan, "ENGINES", ())
    made = [quarantined(as_engineer) for _ in range(3)]
    assert set(Upload.objects.values_list("pk", flat=True)) == {upload.pk for upload in made[1:]}
    assert services.expire_uploads() == 0
    Upload.objects.update(expires_at=timezone.now())
    assert services.expire_uploads() == 2
    assert not Upload.objects.exists()


def test_a_pickle_is_refused_with_every_reason_and_no_file_is_left(
    as_engineer: Principal, model: Model, settings: Any
) -> None:
    files = {"model.skops": pickle.dumps([], protocol=4), "train.py": b"import os"}
    upload = services.start_upload(principal=as_engineer, kind="model", name="risk", manifest=manifest(files))
    send(as_engineer, upload, files)
    error = refused(services.complete_upload, principal=as_engineer, upload=upload)
    assert error.code == "refused"
    assert [e.pointer for e in error.errors] == ["/manifest/files/1", "/manifest/files/0"]
    assert "train.py" in error.errors[0].detail
    assert Upload.objects.get().state == Upload.State.QUARANTINED
    Upload.objects.all().delete()
    assert nothing_left(settings)


@pytest.mark.parametrize(
    ("content", "roles", "words"),
    [
        (CSV, {**ROLES, "incom": "ignore"}, "'age', 'sex', 'income'"),
        (b"age,sex,income\n", ROLES, "no rows"),
        (b"", ROLES, "no rows"),
        (json.dumps({"age": 1}).encode(), ROLES, "no column"),
    ],
)
def test_a_table_that_cannot_be_audited_is_refused_and_nothing_is_left(
    as_engineer: Principal, dataset: Dataset, settings: Any, content: bytes, roles: dict[str, str], words: str
) -> None:
    name = "data.jsonl" if content.startswith(b"{") else "data.csv"
    announced = manifest({name: content}, roles=roles)
    upload = services.start_upload(principal=as_engineer, kind="dataset", name="census", manifest=announced)
    send(as_engineer, upload, {name: content})
    error = refused(services.complete_upload, principal=as_engineer, upload=upload)
    assert error.code == "refused"
    assert words in error.message
    assert error.errors[0].pointer.startswith("/manifest/")
    assert nothing_left(settings)


def test_uploads_past_their_time_take_no_bytes_and_are_swept_away(
    as_engineer: Principal, upload: Upload, tmp_path: Path
) -> None:
    assert services.expire_uploads() == 0
    Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    upload.refresh_from_db()
    part = {"principal": as_engineer, "upload": upload, "path": "model.skops", "offset": 0}
    assert refused(services.receive, **part, stream=BytesIO(b"x")).status == 410
    orphan = staging.root() / "upl_orphan"
    orphan.mkdir()
    os.utime(orphan, (0, 0))
    assert services.expire_uploads() == 1
    assert not orphan.exists()
    assert not Upload.objects.exists()


def test_only_those_who_may_submit_can_send_complete_or_abandon(
    as_reviewer: Principal, upload: Upload
) -> None:
    part = {"principal": as_reviewer, "upload": upload}
    assert refused(services.receive, **part, path="model.skops", offset=0, stream=BytesIO(b"x")).status == 403
    assert refused(services.complete_upload, **part).status == 403
    assert refused(services.abandon_upload, **part).status == 403
