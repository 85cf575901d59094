"""Models: the list, and one model with its versions, history and facts."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from auditor.audits.models import Audit
from auditor.core.access import fetch, visible
from auditor.core.errors import DomainError
from auditor.registry import endpoints, quarantine
from auditor.registry.models import EndpointCredential, Model, ModelVersion
from auditor.reports import services
from auditor.reports.ml_bom import MEDIA_TYPE
from auditor.reports.models import ReportCard
from auditor.web import overview
from auditor.web.forms import audit_form
from auditor.web.states import AREAS
from auditor.web.who import principal
from evaluations.endpoints import EndpointSpec

SHOWN = 20


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Every model, worst verdict first; `?q=` narrows by name or description."""
    wanted = request.GET.get("q", "").strip()[:100]
    return render(
        request, "models/list.html", {"rows": overview.models(principal(request), wanted), "wanted": wanted}
    )


@login_required
@require_safe
def detail(request: HttpRequest, name: str) -> HttpResponse:
    who = principal(request)
    model = fetch(who, Model, name=name)
    versions = list(model.versions.select_related("submitted_by", "parent").order_by("-created_at")[:SHOWN])
    cards = list(
        visible(who, ReportCard)
        .filter(audit__model_version__in=versions)
        .select_related("policy_version__policy", "audit")
        .order_by("-issued_at")[: 2 * SHOWN]
    )
    rows = _rows(versions, cards)
    seen = {area for row in rows for area in row["areas"]}
    served = _served(versions)
    context = {
        "model": model,
        "owner": str(model.owner),
        "team": str(model.team),
        "rows": rows,
        "areas": [area for area in AREAS if area in seen],
        "history": list(
            visible(who, Audit)
            .filter(model_version__model=model)
            .select_related("model_version", "dataset_version__dataset", "requested_by")
            .prefetch_related("cards")
            .order_by("-created_at")[:SHOWN]
        ),
        "quarantined": list(quarantine.of_model(who, model)[:SHOWN]),
        "served": served,
        "credential": EndpointCredential.objects.filter(model=model).first() if served else None,
        "form": audit_form(who, model=model) if versions and who.may("submit", model.team_id) else None,
    }
    return render(request, "models/detail.html", context)


@login_required
@require_safe
def as_ml_bom(request: HttpRequest, name: str, version: str) -> HttpResponse:
    """One version as a CycloneDX bill of materials, as it was registered."""
    found = fetch(principal(request), ModelVersion, model__name=name, version=version)
    return HttpResponse(
        services.version_ml_bom(found),
        content_type=MEDIA_TYPE,
        headers={
            "Content-Disposition": f'attachment; filename="{name}-{version}.cdx.json"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _served(versions: list[ModelVersion]) -> EndpointSpec | None:
    """Where the newest version is served, if it is; nothing where its description is gone or damaged."""
    try:
        return endpoints.spec_of(versions[0]) if versions else None
    except DomainError:
        return None


def _rows(versions: list[ModelVersion], cards: list[ReportCard]) -> list[dict[str, Any]]:
    """Each version with its newest card under each policy, and the outcomes of that card's areas."""
    rows: list[dict[str, Any]] = []
    for version in versions:
        newest: dict[str, ReportCard] = {}
        for card in cards:
            if card.audit.model_version_id == version.pk:
                newest.setdefault(card.policy_version.policy_id, card)
        for card in newest.values():
            outcomes = {a["area"]: a["outcome"] for a in json.loads(card.canonical)["areas"]}
            rows.append({"version": version, "card": card, "areas": outcomes})
        if not newest:
            rows.append({"version": version, "card": None, "areas": {}})
    return rows
