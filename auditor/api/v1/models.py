"""Models and their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from ninja import Router, Schema
from pydantic import Field, SecretStr

from auditor.api.auth import Caller
from auditor.api.idempotency import idempotent
from auditor.api.pagination import PageQuery, paginate
from auditor.api.replies import reply
from auditor.api.v1.teams import team_named
from auditor.core.access import fetch, visible
from auditor.registry import credentials, services
from auditor.registry.models import EndpointCredential, Model, ModelVersion
from auditor.reports.ml_bom import MEDIA_TYPE
from auditor.reports.services import version_ml_bom
from evaluations.spec import Modality

router = Router(tags=["Registry"])


class NewModel(Schema):
    """A model to register. `team` is needed only by those who may submit in several."""

    name: str = Field(max_length=60, examples=["income"])
    modality: Modality
    team: str | None = None
    description: str = ""
    risk_tier: str = "limited"
    intended_use: str = ""
    out_of_scope_use: str = ""
    languages: list[str] = Field([], max_length=50)


class ModelVersionOut(Schema):
    """One immutable artefact. `digest` is over the paths and digests of its files."""

    id: str
    version: str
    digest: str
    format: str
    size: int
    files: list[dict[str, Any]]
    labels: list[str]
    parent: str | None
    provenance: dict[str, Any]
    submitted_by: str
    created_at: datetime


class ModelOut(Schema):
    """A registered model."""

    id: str
    name: str
    team: str
    modality: str
    risk_tier: str
    description: str
    intended_use: str
    out_of_scope_use: str
    languages: list[str]
    created_at: datetime


class NewCredential(Schema):
    """The secret of the service where the model is served. It is stored sealed, and no answer ever holds it.

    `origin` is the only place that it is sent to (default: where the newest version is served). In `Authorization`
    a secret of one word is sent as `Bearer SECRET`.
    """

    secret: SecretStr
    origin: str = Field("", max_length=300, examples=["https://api.example.org"])
    header: str = Field("Authorization", max_length=60)


class CredentialOut(Schema):
    """That a secret is stored, for which address, and who stored it."""

    origin: str
    header: str
    set_by: str
    set_at: datetime


class ModelDetail(ModelOut):
    """A registered model with its versions, newest first."""

    credential: CredentialOut | None
    versions: list[ModelVersionOut]


class ModelPage(Schema):
    """One page of models, newest first."""

    items: list[ModelOut]
    next_cursor: str | None


def model_version_out(version: ModelVersion) -> ModelVersionOut:
    return ModelVersionOut(
        id=version.pk,
        version=version.version,
        digest=version.digest,
        format=version.format,
        size=version.size,
        files=version.files,
        labels=version.labels,
        parent=str(version.parent) if version.parent else None,
        provenance=version.provenance,
        submitted_by=str(version.submitted_by),
        created_at=version.created_at,
    )


def _facts(model: Model) -> dict[str, Any]:
    return {
        "id": model.pk,
        "name": model.name,
        "team": model.team.name,
        "modality": model.modality,
        "risk_tier": model.risk_tier,
        "description": model.description,
        "intended_use": model.intended_use,
        "out_of_scope_use": model.out_of_scope_use,
        "languages": model.languages,
        "created_at": model.created_at,
    }


@router.post(
    "/models",
    response={201: ModelOut, 200: ModelOut},
    summary="Register a model, or find the one of this name",
    operation_id="create_model",
)
@idempotent
def create(request: Caller, payload: NewModel) -> HttpResponse:
    known = visible(request.auth, Model).filter(name=payload.name).exists()
    model = services.register_model(
        principal=request.auth,
        team=team_named(request.auth, payload.team),
        **payload.dict(exclude={"team"}),
    )
    return reply(ModelOut(**_facts(model)), 200 if known else 201, f"models/{model.name}")


@router.get("/models", response=ModelPage, summary="List models", operation_id="list_models")
def index(request: Caller, page: PageQuery) -> ModelPage:
    found, cursor = paginate(visible(request.auth, Model).select_related("team"), page)
    return ModelPage(items=[ModelOut(**_facts(model)) for model in found], next_cursor=cursor)


@router.get(
    "/models/{name}", response=ModelDetail, summary="A model and its versions", operation_id="get_model"
)
def detail(request: Caller, name: str) -> ModelDetail:
    model = fetch(request.auth, Model, name=name)
    versions = model.versions.select_related("model", "parent__model", "submitted_by").order_by(
        "-created_at", "-pk"
    )
    stored = EndpointCredential.objects.filter(model=model).select_related("set_by").first()
    return ModelDetail(
        **_facts(model),
        credential=_credential_out(stored) if stored else None,
        versions=[model_version_out(version) for version in versions],
    )


def _credential_out(stored: EndpointCredential) -> CredentialOut:
    return CredentialOut(
        origin=stored.origin, header=stored.header, set_by=str(stored.set_by), set_at=stored.set_at
    )


@router.get(
    "/models/{name}/versions/{version}/ml-bom",
    summary="A model version as a CycloneDX 1.6 ML-BOM",
    operation_id="get_model_version_ml_bom",
    openapi_extra={
        "responses": {
            200: {
                "description": "OK",
                "content": {"application/vnd.cyclonedx+json": {"schema": {"type": "object"}}},
            }
        }
    },
)
def ml_bom(request: Caller, name: str, version: str) -> HttpResponse:
    found = fetch(request.auth, ModelVersion, model__name=name, version=version)
    return HttpResponse(version_ml_bom(found), content_type=MEDIA_TYPE)


@router.put(
    "/models/{name}/credential",
    response=CredentialOut,
    summary="Store the secret of the service where a model is served",
    operation_id="set_credential",
)
def set_credential(request: Caller, name: str, payload: NewCredential) -> CredentialOut:
    stored = credentials.set_credential(
        principal=request.auth,
        model=fetch(request.auth, Model, name=name),
        secret=payload.secret.get_secret_value(),
        origin=payload.origin,
        header=payload.header,
    )
    return _credential_out(stored)


@router.delete(
    "/models/{name}/credential",
    response={204: None},
    summary="Forget the secret of a model's service",
    operation_id="remove_credential",
)
def remove_credential(request: Caller, name: str) -> HttpResponse:
    credentials.remove_credential(principal=request.auth, model=fetch(request.auth, Model, name=name))
    return HttpResponse(status=204)
