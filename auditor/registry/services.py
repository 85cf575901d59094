"""Registers models and data sets, and makes versions of them out of uploads."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, BinaryIO, TypeVar

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from auditor.accounts.models import Team
from auditor.core.access import Principal, fetch, require
from auditor.core.errors import DomainError, Problem, conflict, forbidden
from auditor.registry import completion, staging
from auditor.registry.manifest import ModelManifest, parse
from auditor.registry.models import Dataset, DatasetVersion, Model, ModelVersion, RiskTier, Upload
from auditor.registry.queries import by_reference
from evaluations.spec import Modality

UPLOAD_LIFETIME = timedelta(hours=24)
MAX_UPLOADS = 20  # under way at once, per team
SPARE_BYTES = 256 * 2**20  # left free on the disk: the database lies on it, too
T = TypeVar("T", Model, Dataset)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


def register_model(
    *,
    principal: Principal,
    name: str,
    modality: str,
    team: Team | None = None,
    description: str = "",
    risk_tier: str = "limited",
    intended_use: str = "",
    out_of_scope_use: str = "",
    languages: Sequence[str] = (),
) -> Model:
    """A model of this name in the team; the one that is already there is returned as it is."""
    team = _team_for(principal, team)
    errors = _name_problems(name)
    if modality not in list(Modality):
        errors.append(Problem("/modality", f"Choose one of: {', '.join(Modality)}."))
    if risk_tier not in RiskTier.values:
        errors.append(Problem("/risk_tier", f"Choose one of: {', '.join(RiskTier.values)}."))
    for pointer, text in (
        ("/description", description),
        ("/intended_use", intended_use),
        ("/out_of_scope_use", out_of_scope_use),
    ):
        errors += _text_problems(pointer, text, 10_000)
    for language in languages:
        errors += _text_problems("/languages", language, 35)
    _raise_for(errors)
    model = _get_or_create(
        Model,
        name,
        team,
        owner_id=principal.user_id,
        modality=modality,
        description=description,
        risk_tier=risk_tier,
        intended_use=intended_use,
        out_of_scope_use=out_of_scope_use,
        languages=list(languages),
    )
    if model.modality != modality:
        raise conflict(
            "modality_differs",
            f"{name} is registered as {model.modality}, not {modality}. Choose another name.",
        )
    return model


def register_dataset(
    *,
    principal: Principal,
    name: str,
    team: Team | None = None,
    description: str = "",
    licence: str = "",
    source: str = "",
) -> Dataset:
    """A data set of this name in the team; the one that is already there is returned as it is."""
    team = _team_for(principal, team)
    errors = _name_problems(name)
    errors += _text_problems("/description", description, 10_000)
    errors += _text_problems("/licence", licence, 120)
    errors += _text_problems("/source", source, 300)
    _raise_for(errors)
    return _get_or_create(Dataset, name, team, description=description, licence=licence, source=source)


def start_upload(*, principal: Principal, kind: str, name: str, manifest: dict[str, Any]) -> Upload:
    """An upload that files can be sent to, once its manifest is valid, its version new and its size within limits."""
    if kind not in Upload.Kind.values:
        raise DomainError(
            "invalid_manifest",
            "An upload is of kind model or dataset.",
            errors=[
                Problem("/kind", f"Choose one of: {', '.join(Upload.Kind.values)}."),
            ],
        )
    target: Model | Dataset = (
        fetch(principal, Model, name=name)
        if kind == Upload.Kind.MODEL
        else fetch(principal, Dataset, name=name)
    )
    require(principal, "submit", target.team_id)
    announced = parse(kind, manifest)
    if target.versions.filter(version=announced.version).exists():
        raise _version_exists(name, announced.version)
    if isinstance(announced, ModelManifest) and announced.parent:
        by_reference(principal, ModelVersion, announced.parent)
    size = sum(file.size for file in announced.files)
    if size > settings.MAX_UPLOAD_BYTES:
        raise DomainError(
            "too_large",
            f"The files have {size} bytes; uploads have at most {settings.MAX_UPLOAD_BYTES}. "
            "Send less, or have an administrator raise MAX_UPLOAD_BYTES.",
            status=413,
        )
    under_way = Upload.objects.filter(
        team=target.team_id, state=Upload.State.RECEIVING, expires_at__gt=timezone.now()
    )
    if under_way.count() >= MAX_UPLOADS:
        raise DomainError(
            "too_many_uploads",
            f"The team has {MAX_UPLOADS} uploads under way. Complete or abandon one of them first.",
            status=429,
        )
    upload = Upload(
        team_id=target.team_id,
        kind=kind,
        target=target.pk,
        manifest=announced.model_dump(mode="json"),
        created_by_id=principal.user_id,
        expires_at=timezone.now() + UPLOAD_LIFETIME,
    )
    staging.create(upload.pk)
    with staging.cleared_when_full(upload.pk):
        _check_space(upload.pk, size)
    try:
        upload.save(force_insert=True)
    except BaseException:
        staging.remove(upload.pk)
        raise
    return upload


def receive(*, principal: Principal, upload: Upload, path: str, offset: int, stream: BinaryIO) -> int:
    """Add bytes to one announced file, from `offset` on. Returns the new offset.

    `wrong_offset` says where to go on. A full disk ends the upload: `disk_full`, nothing kept.
    """
    _guard(principal, upload)
    sizes = {file["path"]: file["size"] for file in upload.manifest["files"]}
    if path not in sizes:
        raise DomainError(
            "not_found",
            f"The manifest of this upload names no file “{path[:200]}”. Send the announced files.",
            status=404,
        )
    with staging.locked(upload.pk):
        arrived = staging.offset(upload.pk, path)
        if offset != arrived:
            raise conflict(
                "wrong_offset", f"{arrived} bytes of “{path}” have arrived. Continue at offset {arrived}."
            )
        try:
            with staging.cleared_when_full(upload.pk):
                size = staging.append(upload.pk, path, stream, sizes[path])
        except DomainError:
            upload.delete()
            raise
    if size < 0:
        raise DomainError(
            "size_exceeded",
            f"“{path}” was announced with {sizes[path]} bytes, and more were sent. Nothing of this request was kept; "
            f"continue at offset {arrived}, or start a new upload with the right sizes.",
        )
    return size


def received(upload: Upload) -> dict[str, int]:
    """How many bytes of each announced file have arrived."""
    return {file["path"]: staging.offset(upload.pk, file["path"]) for file in upload.manifest["files"]}


def complete_upload(*, principal: Principal, upload: Upload) -> ModelVersion | DatasetVersion:
    """Make the version. Raises `incomplete_upload` (go on sending), or `refused`, after which no file is left of it.

    A model that intake refuses stays as a quarantined upload, for people to read why.
    """
    _guard(principal, upload)
    with staging.locked(upload.pk):
        missing = [
            Problem(
                f"/manifest/files/{i}", f"{arrived} of {file['size']} bytes of {file['path']} have arrived."
            )
            for i, file in enumerate(upload.manifest["files"])
            if (arrived := staging.offset(upload.pk, file["path"])) < file["size"]
        ]
        if missing:
            raise DomainError(
                "incomplete_upload",
                f"Not all bytes have arrived. {missing[0].detail} Send the rest.",
                409,
                missing,
            )
        try:
            with staging.cleared_when_full(upload.pk):
                return completion.complete(principal, upload)
        except IntegrityError as error:
            raise _version_exists("the target", upload.manifest["version"]) from error
        finally:  # made or refused, an upload ends here; rows of a version were made in one transaction or not at all
            if upload.state != Upload.State.QUARANTINED:
                _forget(upload)


def abandon_upload(*, principal: Principal, upload: Upload) -> None:
    """Drop an upload and what has arrived of it, or what is known of a quarantined one."""
    require(principal, "submit", upload.team_id)
    if upload.state == Upload.State.QUARANTINED:
        upload.delete()
        return
    with staging.locked(upload.pk):
        _forget(upload)


def expire_uploads() -> int:
    """Drop uploads past their time, and staging folders that no upload knows. Returns how many. For housekeeping."""
    expired = list(Upload.objects.filter(expires_at__lte=timezone.now()))
    for upload in expired:
        _forget(upload)
    known = set(Upload.objects.filter(state=Upload.State.RECEIVING).values_list("pk", flat=True))
    for name in staging.leftovers(known):
        staging.remove(name)
    return len(expired)


def _forget(upload: Upload) -> None:
    Upload.objects.filter(pk=upload.pk).delete()
    staging.remove(upload.pk)


def _guard(principal: Principal, upload: Upload) -> None:
    require(principal, "submit", upload.team_id)
    if upload.state == Upload.State.QUARANTINED:
        raise DomainError(
            "upload_quarantined",
            "Intake refused this upload, and its files are deleted. Mend the model, and start a new upload.",
            status=410,
        )
    if upload.expires_at <= timezone.now():
        raise DomainError("upload_expired", "The upload has expired. Start a new one.", status=410)


def _check_space(upload_id: str, size: int) -> None:
    free = shutil.disk_usage(staging.root()).free
    if size + SPARE_BYTES > free:
        staging.remove(upload_id)
        raise DomainError(
            "disk_full",
            f"The files have {size} bytes, and the artefact folder has room for {max(0, free - SPARE_BYTES)}. "
            "Free space there, or point AUDITOR_STATE at a larger disk, and start again.",
            status=507,
        )


def _team_for(principal: Principal, team: Team | None) -> Team:
    """The team that a new thing belongs to: the one named, else the only one where the principal may submit."""
    if team is not None:
        require(principal, "submit", team.pk)
        return team
    teams = [team_id for team_id in principal.roles if principal.may("submit", team_id)]
    if not teams:
        raise forbidden(
            "You may not submit in any team. Ask a team administrator for the role engineer or a token scope."
        )
    if len(teams) > 1:
        raise DomainError(
            "team_required",
            "You may submit in several teams. Name the one that this belongs to.",
            errors=[Problem("/team", "Name a team.")],
        )
    return Team.objects.get(pk=teams[0])


def _get_or_create(kind: type[T], name: str, team: Team, **values: Any) -> T:
    row, _ = kind._default_manager.get_or_create(name=name, defaults={"team": team, **values})
    if row.team_id != team.pk:
        raise conflict("name_taken", f"The name {name} is taken by another team. Choose another one.")
    return row


def check_name(name: str) -> None:
    """Raise `invalid_input` for what no model or data set may be called."""
    _raise_for(_name_problems(name))


def _name_problems(name: str) -> list[Problem]:
    if _NAME.fullmatch(name):
        return []
    return [
        Problem(
            "/name", "A name has 1 to 60 small letters, digits, - and _, and begins with a letter or digit."
        )
    ]


def _text_problems(pointer: str, text: str, limit: int) -> list[Problem]:
    if len(text) > limit:
        return [Problem(pointer, f"Write at most {limit} characters.")]
    return [Problem(pointer, "Remove the NUL character.")] if "\x00" in text else []


def _raise_for(errors: list[Problem]) -> None:
    if errors:
        raise DomainError(
            "invalid_input", " ".join(f"{e.pointer[1:]}: {e.detail}" for e in errors), errors=errors
        )


def _version_exists(name: str, version: str) -> DomainError:
    return conflict(
        "version_exists", f"{name} already has a version {version}, and versions never change. Use a new one."
    )
