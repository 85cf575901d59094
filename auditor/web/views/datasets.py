"""Data sets: what models are measured on."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from auditor.audits.models import Audit
from auditor.core.access import fetch, visible
from auditor.core.errors import not_found
from auditor.registry.models import Dataset, DatasetVersion
from auditor.web.who import principal

ROLE_ORDER = (
    "target", "sensitive", "input", "context", "choices", "answer", "human", "user", "item", "cluster", "split",
    "member", "randomised_inclusion", "repetitions", "id", "ignore",
)  # fmt: skip


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    versions = (
        visible(principal(request), DatasetVersion)
        .select_related("dataset")
        .order_by("dataset__name", "-created_at")
        .distinct("dataset__name")
    )
    return render(request, "datasets/list.html", {"versions": list(versions)})


@login_required
@require_safe
def detail(request: HttpRequest, name: str) -> HttpResponse:
    """The newest version of a data set, or the one that `?version=` names."""
    who = principal(request)
    dataset = fetch(who, Dataset, name=name)
    versions = list(dataset.versions.select_related("submitted_by").order_by("-created_at"))
    wanted = request.GET.get("version", "")
    shown = next((v for v in versions if v.version == wanted), None) if wanted else next(iter(versions), None)
    if wanted and shown is None:
        raise not_found("data set version", f"{name}@{wanted}")
    context = {
        "dataset": dataset,
        "versions": versions,
        "shown": shown,
        "columns": _columns(shown) if shown else [],
        "groups": _groups(shown) if shown else [],
        "origins": shown.provenance.get("attacks", []) if shown else [],
        "audits": list(
            visible(who, Audit)
            .filter(dataset_version=shown)
            .select_related("model_version__model")
            .order_by("-created_at")[:10]
        ),
    }
    return render(request, "datasets/detail.html", context)


def _columns(version: DatasetVersion) -> list[tuple[str, str]]:
    return sorted(version.roles.items(), key=lambda pair: (ROLE_ORDER.index(pair[1]), pair[0]))


def _groups(version: DatasetVersion) -> list[tuple[str, list[tuple[str, int, float]]]]:
    """Class and group counts with their share of the rows, the target first."""
    target = next((column for column, role in version.roles.items() if role == "target"), "")
    tables = {target: version.summary.get("classes") or {}, **(version.summary.get("groups") or {})}
    return [
        (
            column,
            sorted(((str(k), n, 100 * n / version.rows) for k, n in counts.items()), key=lambda row: -row[1]),
        )
        for column, counts in tables.items()
        if counts
    ]
