"""The first page: what waits, what is wrong, what runs, what was recorded."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from auditor.core.access import visible
from auditor.reports.models import ReportCard
from auditor.web import overview
from auditor.web.who import principal


@login_required
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    who = principal(request)
    submits = any(who.may("submit", team) for team in who.roles)
    reviews = any(who.may("review", team) for team in who.roles)
    context = {
        "submits": submits,
        "reviews": reviews,
        "to_review": overview.to_review(who) if reviews else [],
        "submissions": overview.submissions(who) if submits else [],
        "models": overview.models(who),
        "running": overview.running(who),
        "recorded": list(
            visible(who, ReportCard)
            .select_related("ledger_entry", "audit__model_version__model")
            .defer("canonical")
            .order_by("-ledger_entry__index")[:5]
        ),
        "public_url": settings.PUBLIC_URL,
    }
    return render(request, "dashboard/index.html", context)
