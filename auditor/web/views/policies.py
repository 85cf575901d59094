"""Policies: what is demanded, and the text that says so."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.db.models import Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from auditor.policies.document import Control, PolicyDocument
from auditor.policies.models import Policy
from auditor.policies.services import document, resolve
from auditor.web.states import AREAS
from auditor.web.who import principal
from evaluations import catalogue


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    teams = list(principal(request).roles)
    policies = (
        Policy.objects.filter(Q(team__isnull=True) | Q(team__in=teams))
        .annotate(newest=Max("versions__number"))
        .select_related("team")
        .order_by("name")
    )
    return render(request, "policies/list.html", {"policies": list(policies)})


@login_required
@require_safe
def detail(request: HttpRequest, name: str) -> HttpResponse:
    """The newest version, or the one that `?version=` names."""
    number = request.GET.get("version", "")
    version = resolve(principal(request), f"{name}@{number}" if number else name)
    content = document(version)
    context = {
        "version": version,
        "policy": version.policy,
        "document": content,
        "areas": _by_area(content),
        "suite": [(item, catalogue.get(item.evaluation)) for item in content.suite],
        "reported": [(r, content.metric_spec(r)) for r in content.report],
        "versions": list(
            version.policy.versions.order_by("-number").values("number", "published_at", "digest")
        ),
    }
    return render(request, "policies/detail.html", context)


def _by_area(content: PolicyDocument) -> list[tuple[str, list[dict[str, object]]]]:
    """The controls of each area, each with what the catalogue says of its metric."""
    grouped: dict[str, list[Control]] = {}
    for control in content.controls:
        grouped.setdefault(control.area, []).append(control)
    order = [area for area in AREAS if area in grouped]
    return [(area, [{"control": c, "spec": content.metric_spec(c)} for c in grouped[area]]) for area in order]
