"""Policies: what is demanded."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q
from django.http import HttpResponse
from ninja import Router, Schema

from auditor.api.auth import Caller
from auditor.api.idempotency import idempotent
from auditor.api.pagination import PageQuery, paginate
from auditor.api.replies import reply
from auditor.api.v1.teams import team_named
from auditor.core.errors import DomainError
from auditor.policies import services
from auditor.policies.models import Policy, PolicyVersion

router = Router(tags=["Policies"])


class PolicyOut(Schema):
    """A policy. `team` is null for those that come with the service."""

    id: str
    name: str
    title: str
    team: str | None
    created_at: datetime


class PolicyVersionOut(Schema):
    """One published version. `document` is what is applied, `source` the YAML that people wrote."""

    name: str
    number: int
    title: str
    digest: str
    published_at: datetime
    published_by: str | None
    document: dict[str, Any]
    source: str


class PolicyPage(Schema):
    """One page of policies, newest first."""

    items: list[PolicyOut]
    next_cursor: str | None


def _version_out(version: PolicyVersion) -> PolicyVersionOut:
    return PolicyVersionOut(
        name=version.policy.name,
        number=version.number,
        title=version.policy.title,
        digest=version.digest,
        published_at=version.published_at,
        published_by=str(version.published_by) if version.published_by else None,
        document=version.document,
        source=version.source,
    )


@router.get("/policies", response=PolicyPage, summary="List policies", operation_id="list_policies")
def index(request: Caller, page: PageQuery) -> PolicyPage:
    teams = [team for team in request.auth.roles if request.auth.may("read", team)]
    rows = Policy.objects.filter(Q(team=None) | Q(team__in=teams)).select_related("team")
    found, cursor = paginate(rows, page)
    items = [
        PolicyOut(
            id=p.pk, name=p.name, title=p.title, team=p.team.name if p.team else None, created_at=p.created_at
        )
        for p in found
    ]
    return PolicyPage(items=items, next_cursor=cursor)


@router.get(
    "/policies/{name}",
    response=PolicyVersionOut,
    summary="The newest version of a policy, or the one that name@number means",
    operation_id="get_policy",
)
def detail(request: Caller, name: str) -> PolicyVersionOut:
    return _version_out(services.resolve(request.auth, name))


@router.post(
    "/policies",
    response={201: PolicyVersionOut},
    summary="Publish a policy",
    operation_id="publish_policy",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/yaml": {"schema": {"type": "string"}}}}
    },
)
@idempotent
def publish(request: Caller, team: str | None = None) -> HttpResponse:
    """The body is the YAML text. For people who review in the team: no token may."""
    teams = [t for t in request.auth.roles if request.auth.may("review", t)]
    named = team_named(request.auth, team or (teams[0] if len(teams) == 1 else None))
    try:
        source = request.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DomainError("invalid_policy", "The policy is not UTF-8 text. Save it as UTF-8.") from error
    version = services.publish(principal=request.auth, source=source, team=named)
    return reply(_version_out(version), 201, f"policies/{version.policy.name}@{version.number}")
