"""Models and their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from ninja import Router, Schema
from pydantic import Field

from auditor.api.auth import Caller
from auditor.api.idempotency import idempotent
from auditor.api.pagination import PageQuery, paginate
from auditor.api.replies import reply
from auditor.api.v1.teams import team_named
from auditor.core.access import fetch, visible
from auditor.registry import services
from auditor.registry.models import Model, ModelVersion
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


class ModelDetail(ModelOut):
    """A registered model with its versions, newest first."""

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
    return ModelDetail(**_facts(model), versions=[model_version_out(version) for version in versions])
