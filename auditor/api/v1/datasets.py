"""Data sets and their versions."""

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
from auditor.registry.models import Dataset, DatasetVersion

router = Router(tags=["Registry"])


class NewDataset(Schema):
    """A data set to register. `team` is needed only by those who may submit in several."""

    name: str = Field(max_length=60, examples=["adult"])
    team: str | None = None
    description: str = ""
    licence: str = ""
    source: str = ""


class DatasetVersionOut(Schema):
    """One immutable table. `summary` counts the rows of each class, and of each group of each sensitive column.

    `egress` says which services may be shown its rows: `same_network`, origins, or `any`; none where it is empty.
    `provenance` says what the service made the version of, where it made it: which attacks were kept.
    """

    id: str
    version: str
    digest: str
    format: str
    size: int
    rows: int
    roles: dict[str, str]
    favourable_label: str
    languages: list[str]
    summary: dict[str, Any]
    held_out: bool
    egress: list[str]
    provenance: dict[str, Any]
    submitted_by: str
    created_at: datetime


class DatasetOut(Schema):
    """A registered data set."""

    id: str
    name: str
    team: str
    description: str
    licence: str
    source: str
    created_at: datetime


class DatasetDetail(DatasetOut):
    """A registered data set with its versions, newest first."""

    versions: list[DatasetVersionOut]


class DatasetPage(Schema):
    """One page of data sets, newest first."""

    items: list[DatasetOut]
    next_cursor: str | None


def dataset_version_out(version: DatasetVersion) -> DatasetVersionOut:
    return DatasetVersionOut(
        id=version.pk,
        version=version.version,
        digest=version.digest,
        format=version.format,
        size=version.size,
        rows=version.rows,
        roles=version.roles,
        favourable_label=version.favourable_label,
        languages=version.languages,
        summary=version.summary,
        held_out=version.held_out,
        egress=version.egress,
        provenance=version.provenance,
        submitted_by=str(version.submitted_by),
        created_at=version.created_at,
    )


def _facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "id": dataset.pk,
        "name": dataset.name,
        "team": dataset.team.name,
        "description": dataset.description,
        "licence": dataset.licence,
        "source": dataset.source,
        "created_at": dataset.created_at,
    }


@router.post(
    "/datasets",
    response={201: DatasetOut, 200: DatasetOut},
    summary="Register a data set, or find the one of this name",
    operation_id="create_dataset",
)
@idempotent
def create(request: Caller, payload: NewDataset) -> HttpResponse:
    known = visible(request.auth, Dataset).filter(name=payload.name).exists()
    dataset = services.register_dataset(
        principal=request.auth,
        team=team_named(request.auth, payload.team),
        **payload.dict(exclude={"team"}),
    )
    return reply(DatasetOut(**_facts(dataset)), 200 if known else 201, f"datasets/{dataset.name}")


@router.get("/datasets", response=DatasetPage, summary="List data sets", operation_id="list_datasets")
def index(request: Caller, page: PageQuery) -> DatasetPage:
    found, cursor = paginate(visible(request.auth, Dataset).select_related("team"), page)
    return DatasetPage(items=[DatasetOut(**_facts(dataset)) for dataset in found], next_cursor=cursor)


@router.get(
    "/datasets/{name}",
    response=DatasetDetail,
    summary="A data set and its versions",
    operation_id="get_dataset",
)
def detail(request: Caller, name: str) -> DatasetDetail:
    dataset = fetch(request.auth, Dataset, name=name)
    versions = dataset.versions.select_related("submitted_by").order_by("-created_at", "-pk")
    return DatasetDetail(**_facts(dataset), versions=[dataset_version_out(version) for version in versions])
