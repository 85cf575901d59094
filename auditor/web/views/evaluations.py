"""One evaluation of a report card: its numbers, charts, slices, examples and method."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from auditor.audits import keeping
from auditor.core import store
from auditor.core.access import fetch
from auditor.core.errors import DomainError, not_found
from auditor.reports.exposure import may_show, show_examples
from auditor.reports.models import ReportCard
from auditor.web import cardview, chart_words, evalview, svg
from auditor.web.examples import Shown, show
from auditor.web.who import principal

OPEN_ROWS = 30  # of a table that stands open beside the one chart
FORMULA_STARTS = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # what a spreadsheet would run


@dataclass(frozen=True)
class ShownChart:
    """A chart with its drawing, or why there is none; the table beneath it is always there."""

    chart: Mapping[str, Any]
    drawing: SafeString | str

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """The headings of the table, and whether numbers stand below."""
        first = self.chart["rows"][0] if self.chart["rows"] else []
        return [
            (name, i < len(first) and isinstance(first[i], int | float))
            for i, name in enumerate(self.chart["columns"])
        ]

    @property
    def lines(self) -> list[list[Any]]:
        """The rows of the table, an evaluation's own words in the reader's language."""
        heads = self.chart["columns"]
        return [
            [chart_words.chart_cell(head, cell) for head, cell in zip(heads, line, strict=True)]
            for line in self.chart["rows"]
        ]

    @property
    def opened(self) -> bool:
        """Whether the table is short enough to stand open beside a lone chart."""
        return len(self.chart["rows"]) <= OPEN_ROWS


@dataclass(frozen=True)
class Refused:
    """What was asked for, and why it was not done."""

    name: str
    error: DomainError


@login_required
@require_safe
def detail(request: HttpRequest, card_id: str, item: str) -> HttpResponse:
    return _page(request, fetch(principal(request), ReportCard, pk=card_id), item)


@login_required
@require_POST
def examples(request: HttpRequest, card_id: str, item: str) -> HttpResponse:
    """The page with its examples shown. Who saw them is recorded, so this is no GET."""
    row = fetch(principal(request), ReportCard, pk=card_id)
    found = show_examples(
        principal=principal(request), card=row, run=_attempts(json.loads(row.canonical), item).last
    )
    response = _page(request, row, item, [show(example) for example in found])
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def keep_attacks(request: HttpRequest, card_id: str, item: str) -> HttpResponse:
    """Keep the attacks that succeeded as a data set, and go there. None of them is shown by it."""
    row = fetch(principal(request), ReportCard, pk=card_id)
    name = request.POST.get("name", "").strip()
    try:
        kept = keeping.keep_attacks(principal=principal(request), audit=row.audit, item=item, name=name)
    except DomainError as error:
        return _page(request, row, item, refused=Refused(name, error))
    known = ngettext("%(n)s attack was already in it.", "%(n)s attacks were already in it.", kept.known) % {
        "n": f"{kept.known:,}"
    }
    added = ngettext("%(n)s attack is new in it.", "%(n)s attacks are new in it.", kept.added) % {
        "n": f"{kept.added:,}"
    }
    messages.success(request, cardview.between([added, known] if kept.known else [added]))
    return redirect(
        f"{reverse('dataset_detail', args=[kept.version.dataset.name])}?version={kept.version.version}"
    )


@login_required
@require_safe
def chart_csv(request: HttpRequest, card_id: str, item: str, name: str) -> HttpResponse:
    row = fetch(principal(request), ReportCard, pk=card_id)
    run = _attempts(json.loads(row.canonical), item).last
    chart = next((c for c in run["charts"] if c["name"] == name), None)
    if chart is None:
        raise not_found("chart", name)
    text = io.StringIO()
    writer = csv.writer(text)
    for line in [chart["columns"], *chart["rows"]]:
        writer.writerow([_cell(value) for value in line])
    return HttpResponse(
        text.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{item}-{name}.csv"'},
    )


def _cell(value: str | float | None) -> str | float | None:
    """Text that a spreadsheet would run as a formula is made plain text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _attempts(card: Mapping[str, Any], item: str) -> cardview.ItemRuns:
    for found in cardview.runs_by_item(card):
        if found.item == item:
            return found
    raise not_found("evaluation", item)


def _page(
    request: HttpRequest,
    row: ReportCard,
    item: str,
    shown: Sequence[Shown] | None = None,
    refused: Refused | None = None,
) -> HttpResponse:
    card = json.loads(row.canonical)
    found = _attempts(card, item)
    run = found.last
    kinds = {artifact["kind"] for artifact in run["artifacts"]}
    stored = "examples" in kinds
    context = {
        "row": row,
        "card": card,
        "run": run,
        "attempts": found.attempts,
        "controls": sorted((c for c in card["controls"] if c["item"] == item), key=cardview.badness),
        "reported": [m for m in card["reported"] if m["item"] == item],
        "overall": evalview.overall(run, card),
        "tables": evalview.slice_tables(run),
        "charts": [ShownChart(chart, _drawing(chart, f"c{i}")) for i, chart in enumerate(run["charts"])],
        "methods": evalview.methods(run, card),
        "has_examples": stored,
        "may_keep": "attacks" in kinds
        and principal(request).may("submit", row.audit.dataset_version.dataset.team_id),
        "refused": refused,
        "suite_name": refused.name if refused else f"{card['data']['name'][:52]}-attacks",
        "refusal": may_show(principal(request), row) if stored else "",
        "shown": shown,
        "harmful": run["evaluation"].startswith("safety."),
        "has_conversations": any(one.turns for one in shown or ()),
        "has_unseen": any(said.unseen for one in shown or () for said in one.turns),
        "has_heat": any(heat.tokens or heat.cells for one in shown or () for heat in one.heats),
    }
    status = refused.error.status if refused else 200
    return render(request, "evaluations/detail.html", context, status=status)


def _drawing(chart: Mapping[str, Any], scope: str) -> SafeString | str:
    if not chart.get("svg_sha256"):
        return ""
    try:
        return svg.inline(store.get(chart["svg_sha256"]), chart["alt"], scope)
    except (DomainError, svg.UnsafeSvg):
        return ""  # the page says that the drawing is missing, and shows the table
