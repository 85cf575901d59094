"""Turns a fully received upload into a version: digests, intake, one transaction, one move into the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from django.db import transaction

from auditor.core import store
from auditor.core.access import Principal
from auditor.core.canonical import files_digest
from auditor.core.errors import DomainError, Problem, conflict
from auditor.registry import quarantine, staging
from auditor.registry.manifest import DatasetManifest, FileEntry, ModelManifest, file_format, parse
from auditor.registry.models import Dataset, DatasetVersion, Model, ModelVersion, Upload
from auditor.registry.queries import by_reference
from auditor.registry.tables import inspect_table
from evaluations.intake.inspection import Refused, inspect_model


def complete(principal: Principal, upload: Upload) -> ModelVersion | DatasetVersion:
    """The version made. Raises `refused` with every reason; of a model, the upload's row then says them, too."""
    manifest = parse(upload.kind, upload.manifest)
    staging.seal(upload.pk, [file.path for file in manifest.files])
    _check_digests(upload.pk, manifest.files)
    if isinstance(manifest, ModelManifest):
        return _make_model_version(principal, upload, manifest)
    return _make_dataset_version(principal, upload, manifest)


def _check_digests(upload_id: str, files: Sequence[FileEntry]) -> None:
    wrong = [
        Problem(
            f"/manifest/files/{i}/sha256",
            f"{file.path} does not have the announced digest: it was damaged or changed on the way. Send it again.",
        )
        for i, file in enumerate(files)
        if staging.sha256_of(upload_id, file.path) != file.sha256
    ]
    if wrong:
        raise _refused(wrong)


def _make_model_version(principal: Principal, upload: Upload, manifest: ModelManifest) -> ModelVersion:
    model = Model.objects.get(pk=upload.target)
    result = inspect_model(staging.folder(upload.pk), model.modality)
    files = sorted((file.model_dump() for file in manifest.files), key=lambda file: str(file["path"]))
    digest = files_digest(files)
    if isinstance(result, Refused):
        quarantine.keep(upload, digest, result)
        places = {file.path: i for i, file in enumerate(manifest.files)}
        raise _refused(
            [
                Problem(
                    f"/manifest/files/{places[r.path]}" if r.path in places else "/manifest/files",
                    f"{r.path}: {r.message}" if r.path else r.message,
                )
                for r in result.reasons
            ]
        )
    with transaction.atomic():
        version = ModelVersion.objects.create(
            model=model,
            version=manifest.version,
            digest=digest,
            format=result.format,
            files=files,
            size=result.size,
            labels=manifest.labels,
            parent=by_reference(principal, ModelVersion, manifest.parent) if manifest.parent else None,
            provenance=manifest.provenance,
            submitted_by_id=principal.user_id,
        )
        store.adopt(staging.folder(upload.pk), store.model_folder(digest))
    return version


def _make_dataset_version(principal: Principal, upload: Upload, manifest: DatasetManifest) -> DatasetVersion:
    file = manifest.files[0]
    format_ = file_format(file.path) or ""
    staged = staging.folder(upload.pk) / file.path
    roles = {column: role.value for column, role in manifest.roles.items()}
    try:
        summary = inspect_table(staged, format_, roles, manifest.favourable_label)
    except DomainError as error:
        problems = [Problem(f"/manifest{e.pointer}", e.detail) for e in error.errors]
        raise _refused(problems, error.message) from error
    return adopt_table(
        staged,
        DatasetVersion(
            dataset=Dataset.objects.get(pk=upload.target),
            version=manifest.version,
            digest=f"sha256:{file.sha256}",
            format=format_,
            size=file.size,
            rows=summary.rows,
            roles=roles,
            favourable_label=manifest.favourable_label,
            languages=manifest.languages,
            summary={"classes": summary.classes, "groups": summary.groups},
            held_out=manifest.held_out,
            egress=sorted(set(manifest.egress)),
            submitted_by_id=principal.user_id,
        ),
        staging.folder(upload.pk),
    )


def adopt_table(staged: Path, version: DatasetVersion, folder: Path) -> DatasetVersion:
    """Save `version` and move its file into the store, both or neither. `folder` lies on the store's disk."""
    target = store.dataset_file(version.digest, version.format)
    with transaction.atomic():
        version.save(force_insert=True)
        table = folder / ".table"
        table.mkdir()
        table.chmod(0o755)  # whatever the umask: workers read it under another account
        staged.rename(table / target.name)
        store.adopt(table, target.parent)
        if not target.exists():
            raise conflict(
                "format_differs", "The same bytes are registered in another table format. Use that format."
            )
    return version


def _refused(problems: list[Problem], message: str = "") -> DomainError:
    rest = f" ({len(problems) - 1} more below.)" if len(problems) > 1 and not message else ""
    return DomainError(
        "refused", f"The upload was refused: {message or problems[0].detail}{rest}", errors=problems
    )
