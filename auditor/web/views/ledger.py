"""The ledger: what was recorded, and the signed heads of its tree."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from auditor.core.access import visible
from auditor.ledger.models import Checkpoint, LedgerEntry
from auditor.reports.models import ReportCard
from auditor.web.who import principal

PAGE = 50


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The newest entries, or those before `?before=`. Names appear only for what the reader may see."""
    before = request.GET.get("before", "")
    rows = LedgerEntry.objects.order_by("-index")
    if before.isdecimal():
        rows = rows.filter(index__lt=int(before[:18]))
    entries = list(rows[: PAGE + 1])
    more, entries = len(entries) > PAGE, entries[:PAGE]
    cards = (
        visible(principal(request), ReportCard)
        .filter(ledger_entry__in=[entry.index for entry in entries])
        .select_related("audit__model_version__model")
        .defer("canonical")
    )
    by_entry = {card.ledger_entry_id: card for card in cards}
    context = {
        "entries": [(entry, by_entry.get(entry.index)) for entry in entries],
        "before": entries[-1].index if more else None,
        "checkpoints": list(Checkpoint.objects.order_by("-size")[:10]),
    }
    return render(request, "ledger/index.html", context)
