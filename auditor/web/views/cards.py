"""The report card: the page, its files, and a reviewer's decision."""

from __future__ import annotations

import json
from typing import Any

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from auditor.core.access import Principal, fetch
from auditor.core.canonical import canonical_json
from auditor.core.errors import DomainError
from auditor.reports import services
from auditor.reports.ml_bom import MEDIA_TYPE
from auditor.reports.models import CardStatus, ReportCard, Review
from auditor.web import cardview
from auditor.web.who import principal

REVIEWABLE = {CardStatus.ISSUED, CardStatus.IN_REVIEW}


@login_required
@require_safe
def detail(request: HttpRequest, card_id: str) -> HttpResponse:
    return _page(request, fetch(principal(request), ReportCard, pk=card_id))


def _page(
    request: HttpRequest, row: ReportCard, *, error: DomainError | None = None, reason: str = ""
) -> HttpResponse:
    card = json.loads(row.canonical)
    who = principal(request)
    context: dict[str, Any] = {
        "row": row,
        "card": card,
        "summary": cardview.summary(card),
        "ordinal": cardview.ordinal(card),
        "deciding": [(c, cardview.affected(card, c)) for c in cardview.deciding(card)],
        "areas": cardview.areas(card),
        "remaining": cardview.remaining(card),
        "items": cardview.runs_by_item(card),
        "run_items": {run["item"] for run in card["runs"]},
        "reviews": list(Review.objects.filter(card=row).select_related("reviewer").order_by("created_at")),
        "may_decide": _may_decide(who, row),
        "releasable": row.verdict in services.RELEASABLE,
        "own": row.submitter_id == who.user_id,
        "error": error,
        "reason": reason,
    }
    return render(request, "cards/detail.html", context, status=error.status if error else 200)


def _may_decide(who: Principal, row: ReportCard) -> bool:
    """Whether the page offers a decision. The service decides whether it is taken."""
    team: str = row.audit.model_version.model.team_id
    return row.status in REVIEWABLE and row.submitter_id != who.user_id and who.may("review", team)


@login_required
@require_POST
@reauthentication_required  # type: ignore[untyped-decorator]  # allauth ships no types
def decide(request: HttpRequest, card_id: str) -> HttpResponse:
    """Approve or reject, with a reason. Asks for the password again where it was given long ago."""
    row = fetch(principal(request), ReportCard, pk=card_id)
    reason = request.POST.get("reason", "").strip()
    try:
        review = services.decide(
            principal=principal(request), card=row, decision=request.POST.get("decision", ""), reason=reason
        )
    except DomainError as error:
        row.refresh_from_db()
        return _page(request, row, error=error, reason=reason)
    messages.success(
        request,
        _("You approved this card.") if review.decision == "approve" else _("You rejected this card."),
    )
    return redirect("card_detail", card_id=row.pk)


@login_required
@require_safe
def as_json(request: HttpRequest, card_id: str) -> HttpResponse:
    """The evidence bundle: card and proof in one file, which `auditor verify` checks offline."""
    row = fetch(principal(request), ReportCard, pk=card_id)
    return _file(canonical_json(services.bundle(row)), "application/json", f"{row.pk}.json")


@login_required
@require_safe
def as_pdf(request: HttpRequest, card_id: str) -> HttpResponse:
    row = fetch(principal(request), ReportCard, pk=card_id)
    return _file(services.pdf(row), "application/pdf", f"{row.pk}.pdf")


@login_required
@require_safe
def as_ml_bom(request: HttpRequest, card_id: str) -> HttpResponse:
    """The model and what was measured of it as a CycloneDX bill of materials."""
    row = fetch(principal(request), ReportCard, pk=card_id)
    return _file(services.ml_bom(row), MEDIA_TYPE, f"{row.pk}.cdx.json")


def _file(content: bytes, media_type: str, name: str) -> HttpResponse:
    return HttpResponse(
        content,
        content_type=media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        },
    )
