"""Audits: starting one, watching it live, cancelling it."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseStopPolling

from auditor.audits import services
from auditor.audits.models import LIVE, Audit, AuditStatus, EvaluationRun
from auditor.audits.planning import AuditPlan
from auditor.audits.queries import progress
from auditor.core.access import fetch, visible
from auditor.core.errors import DomainError
from auditor.policies.services import resolve
from auditor.registry.models import DatasetVersion, ModelVersion
from auditor.reports.models import ReportCard
from auditor.web import overview
from auditor.web.forms import audit_form
from auditor.web.who import principal

ENDED = {AuditStatus.COMPLETED, AuditStatus.CANCELLED}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form; sent, it submits the audit and leads to its page, or says what the audit would take."""
    who = principal(request)
    form = audit_form(who, data=request.POST or None, chosen=request.GET.get("version", ""))
    error: DomainError | None = None
    planned: AuditPlan | None = None
    if request.method == "POST" and form.is_valid():
        try:
            model_version = fetch(who, ModelVersion, pk=form.cleaned_data["version"])
            dataset_version = fetch(who, DatasetVersion, pk=form.cleaned_data["dataset"])
            policy_versions = [resolve(who, name) for name in form.cleaned_data["policies"]]
            judge, reference = (
                fetch(who, ModelVersion, pk=form.cleaned_data[name]) if form.cleaned_data[name] else None
                for name in ("judge", "reference")
            )
            if "plan" in request.POST:
                planned = services.plan(
                    model_version=model_version,
                    dataset_version=dataset_version,
                    policy_versions=policy_versions,
                    judge_version=judge,
                    reference_version=reference,
                )
            else:
                audit = services.submit(
                    principal=who,
                    model_version=model_version,
                    dataset_version=dataset_version,
                    policy_versions=policy_versions,
                    judge_version=judge,
                    reference_version=reference,
                )
                return redirect("audit_detail", audit_id=audit.pk)
        except DomainError as refused:
            error = refused
    status = error.status if error else 422 if form.is_bound and planned is None else 200
    context = {"form": form, "error": error, "plan": planned}
    return render(request, "audits/new.html", context, status=status)


@login_required
@require_safe
def detail(request: HttpRequest, audit_id: str) -> HttpResponse:
    audit = fetch(principal(request), Audit, pk=audit_id)
    return render(request, "audits/detail.html", _context(request, audit))


@login_required
@require_safe
def live(request: HttpRequest, audit_id: str) -> HttpResponse:
    """The part of the page that changes. Its last answer tells the page to stop asking."""
    audit = fetch(principal(request), Audit, pk=audit_id)
    response = render(request, "audits/_live.html", _context(request, audit))
    if audit.status in ENDED:
        response.status_code = HttpResponseStopPolling.status_code
    response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def cancel(request: HttpRequest, audit_id: str) -> HttpResponse:
    audit = fetch(principal(request), Audit, pk=audit_id)
    services.request_cancel(principal=principal(request), audit=audit)
    return redirect("audit_detail", audit_id=audit.pk)


def _context(request: HttpRequest, audit: Audit) -> dict[str, object]:
    who = principal(request)
    runs = list(audit.runs.order_by("position", "attempt"))
    current = overview.latest(runs)
    team: str = audit.model_version.model.team_id
    return {
        "audit": audit,
        "model": audit.model_version.model,
        "dataset": audit.dataset_version.dataset,
        "judge": _named(audit.judge_version),
        "reference": _named(audit.reference_version),
        "requested_by": str(audit.requested_by),
        "policies": list(audit.policy_versions.select_related("policy").order_by("policy__name")),
        "progress": progress(audit, current),
        "runs": [
            (run, _elapsed(run), [r for r in runs if r.item == run.item and r is not run]) for run in current
        ],
        "cards": list(
            visible(who, ReportCard)
            .filter(audit=audit)
            .select_related("policy_version__policy")
            .defer("canonical")
            .order_by("issued_at")
        ),
        "ended": audit.status in ENDED,
        "may_cancel": audit.status in (AuditStatus.QUEUED, AuditStatus.RUNNING) and who.may("submit", team),
    }


def _named(version: ModelVersion | None) -> tuple[str, str] | None:
    """What another model is called, and its digest."""
    return (str(version), version.digest) if version else None


def _elapsed(run: EvaluationRun) -> float | None:
    """Seconds since the run started, until it ended."""
    end: datetime | None = run.finished_at or (timezone.now() if run.status in LIVE else None)
    return (end - run.started_at).total_seconds() if run.started_at and end else None
