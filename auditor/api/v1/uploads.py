"""Resumable uploads: announce, send, complete."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, BinaryIO, Literal, cast

from django.http import HttpResponse
from ninja import Header, Query, Router, Schema
from pydantic import Field

from auditor.api.auth import Caller
from auditor.api.idempotency import idempotent
from auditor.api.pagination import Page, paginate
from auditor.api.problems import respond
from auditor.api.replies import reply
from auditor.api.v1.datasets import DatasetVersionOut, dataset_version_out
from auditor.api.v1.models import ModelVersionOut, model_version_out
from auditor.core.access import fetch, visible
from auditor.core.errors import DomainError
from auditor.registry import services
from auditor.registry.models import Model, ModelVersion, Upload

router = Router(tags=["Uploads"])
DISCARD = 16 * 2**20  # bytes; clients send chunks of 8 MiB


class NewUpload(Schema):
    """What will be sent.

    `manifest` of a model: version, files [{path, size, sha256}], labels, provenance, parent.
    Of a data set: version, files (one), roles {column: role}, favourable_label, languages, held_out.
    Roles: input, target, sensitive, context, choices, answer, human, cluster, split, user, item, id, ignore; for audits
    of privacy member (1 where the model was trained on the row, else 0), randomised_inclusion (of canaries: 1 or 0 as a
    fair coin fell) and repetitions (of canaries: how often they were put into the training data).
    """

    kind: Literal["model", "dataset"]
    name: str = Field(max_length=60, examples=["income"])
    manifest: dict[str, Any]


class ReasonOut(Schema):
    """Why a model was refused, or what else is worth knowing of it. `code` is stable."""

    code: str
    path: str
    message: str


class PickleFindingOut(Schema):
    """What one engine read out of the opcodes of a refused pickle. Nothing was loaded."""

    path: str
    engine: str
    severity: Literal["malicious", "suspicious", "unreadable", "harmless", "not_scanned"]
    subject: str
    message: str


class RefusalOut(Schema):
    """Why intake refused a model. Its files are deleted; `digest` is over what was announced."""

    digest: str
    refused_at: datetime
    reasons: list[ReasonOut]
    notes: list[ReasonOut]
    pickles: list[PickleFindingOut]


class UploadOut(Schema):
    """An upload. Of one under way, `received` says how many bytes of each file have arrived: go on from there.

    A `quarantined` one was refused; it takes no bytes, and is forgotten at `expires_at` or by DELETE.
    """

    id: str
    kind: str
    state: Literal["receiving", "quarantined"]
    version: str
    created_by: str
    created_at: datetime
    received: dict[str, int]
    sizes: dict[str, int]
    expires_at: datetime
    refusal: RefusalOut | None


class UploadPage(Schema):
    """One page of uploads, newest first."""

    items: list[UploadOut]
    next_cursor: str | None


class UploadFilter(Page):
    """Which uploads are asked for: in one state, of one model."""

    state: Literal["", "receiving", "quarantined"] = ""
    model: str = Field("", max_length=60)


def _upload_out(upload: Upload) -> UploadOut:
    refusal = None
    if upload.state == Upload.State.QUARANTINED and upload.refused_at:
        refusal = RefusalOut(digest=upload.digest, refused_at=upload.refused_at, **upload.refusal)
    return UploadOut(
        id=upload.pk,
        kind=upload.kind,
        state="quarantined" if refusal else "receiving",
        version=upload.manifest["version"],
        created_by=str(upload.created_by),
        created_at=upload.created_at,
        received=services.received(upload),
        sizes={file["path"]: file["size"] for file in upload.manifest["files"]},
        expires_at=upload.expires_at,
        refusal=refusal,
    )


@router.get(
    "/uploads", response=UploadPage, summary="Uploads under way or quarantined", operation_id="list_uploads"
)
def index(request: Caller, filters: Query[UploadFilter]) -> UploadPage:
    rows = visible(request.auth, Upload).select_related("created_by")
    if filters.state:
        rows = rows.filter(state=filters.state)
    if filters.model:
        rows = rows.filter(kind=Upload.Kind.MODEL, target=fetch(request.auth, Model, name=filters.model).pk)
    found, following = paginate(rows, filters)
    return UploadPage(items=[_upload_out(upload) for upload in found], next_cursor=following)


@router.post(
    "/uploads", response={201: UploadOut}, summary="Announce an upload", operation_id="create_upload"
)
@idempotent
def create(request: Caller, payload: NewUpload) -> HttpResponse:
    upload = services.start_upload(
        principal=request.auth, kind=payload.kind, name=payload.name, manifest=payload.manifest
    )
    return reply(_upload_out(upload), 201, f"uploads/{upload.pk}")


@router.get("/uploads/{upload_id}", response=UploadOut, summary="What has arrived", operation_id="get_upload")
def detail(request: Caller, upload_id: str) -> UploadOut:
    return _upload_out(fetch(request.auth, Upload, pk=upload_id))


@router.put(
    "/uploads/{upload_id}/files/{path:path}",
    response={204: None},
    summary="Send bytes of a file, from an offset on",
    operation_id="put_upload_file",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
def send(
    request: Caller,
    upload_id: str,
    path: str,
    # ninja types Header as a generic class, and calls it as a function
    upload_offset: Annotated[int, Field(ge=0)] = Header(..., alias="Upload-Offset"),  # type: ignore[type-arg]
) -> HttpResponse:
    """The body is streamed to disk. `Upload-Offset` in the answer says how many bytes the file now has."""
    upload = fetch(request.auth, Upload, pk=upload_id)
    try:
        arrived = services.receive(
            principal=request.auth,
            upload=upload,
            path=path,
            offset=upload_offset,
            stream=cast(BinaryIO, request),  # reads from the connection, never whole into memory
        )
    except DomainError as error:
        _discard(request)
        if error.code != "wrong_offset":
            raise
        response = respond(request, error)
        response["Upload-Offset"] = str(services.received(upload)[path])
        return response
    response = HttpResponse(status=204)
    response["Upload-Offset"] = str(arrived)
    return response


def _discard(request: Caller) -> None:
    """Read what is left of a refused chunk, within bounds: the server would otherwise drop the connection."""
    left = DISCARD
    while left > 0 and (chunk := request.read(2**16)):
        left -= len(chunk)


@router.post(
    "/uploads/{upload_id}/complete",
    response={201: ModelVersionOut | DatasetVersionOut},
    summary="Check what was sent, and make the version",
    operation_id="complete_upload",
)
@idempotent
def complete(request: Caller, upload_id: str) -> HttpResponse:
    upload = fetch(request.auth, Upload, pk=upload_id)
    version = services.complete_upload(principal=request.auth, upload=upload)
    if isinstance(version, ModelVersion):
        return reply(model_version_out(version), 201, f"models/{version.model.name}")
    return reply(dataset_version_out(version), 201, f"datasets/{version.dataset.name}")


@router.delete(
    "/uploads/{upload_id}", response={204: None}, summary="Drop an upload", operation_id="delete_upload"
)
def abandon(request: Caller, upload_id: str) -> HttpResponse:
    services.abandon_upload(principal=request.auth, upload=fetch(request.auth, Upload, pk=upload_id))
    return HttpResponse(status=204)
