"""Audits: ask for one, follow it, stop it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from ninja import Router, Schema
from pydantic import Field

from auditor.api.auth import Caller
from auditor.api.etags import conditional, etag_of
from auditor.api.idempotency import idempotent
from auditor.api.pagination import PageQuery, paginate
from auditor.api.replies import POLL_SECONDS, reply
from auditor.audits import keeping, services
from auditor.audits.budgets import Budget
from auditor.audits.models import Audit, AuditStatus, EvaluationRun
from auditor.audits.queries import latest_attempts, progress
from auditor.core.access import fetch, visible
from auditor.policies.services import resolve
from auditor.registry.models import DatasetVersion, ModelVersion
from auditor.registry.queries import by_reference
from evaluations.forecasting import Forecast

router = Router(tags=["Audits"])
ENDED = {AuditStatus.COMPLETED, AuditStatus.CANCELLED}


class NewAudit(Schema):
    """What is to be audited. Without @version the newest one is meant; `dry_run` only says what would be run.

    The budget is for a model that is served somewhere: `max_requests` counts every request that is sent, repeated
    ones too; `max_cost` is in the currency of the endpoint's price. Where it is reached, what was answered is kept,
    and an audit that `supersedes` this one with a larger budget goes on from there.
    """

    model: str = Field(max_length=110, examples=["income@3.2.0"])
    dataset: str = Field(max_length=110, examples=["adult@1"])
    policies: list[str] = Field(min_length=1, max_length=10, examples=[["release-gate"]])
    supersedes: str | None = None
    judge: str | None = Field(None, max_length=110, description="Another model, which judges answers.")
    reference: str | None = Field(
        None,
        max_length=110,
        description="A model of the same kind, not trained on the data, which privacy evaluations compare with.",
    )
    max_requests: int | None = Field(None, gt=0, le=10**15)
    max_tokens: int | None = Field(None, gt=0, le=10**15)
    max_cost: float | None = Field(None, gt=0, le=10**15)
    dry_run: bool = False


class ForecastOut(Schema):
    """What it takes at most, where nothing was answered before; null where it cannot be told.

    Queries are rows that the model answers, requests what is sent to an endpoint.
    """

    queries: int
    requests: int
    input_tokens: int | None
    output_tokens: int
    cost: float | None
    seconds: float | None


class PlannedRunOut(Schema):
    """One evaluation that would be run; `refusal` says why it cannot be."""

    item: str
    evaluation: str
    title: str
    version: str
    params: dict[str, Any]
    refusal: str
    takes: ForecastOut
    smallest_detectable_effect: float | None


class PlanOut(Schema):
    """What an audit would do. The seed comes from the digests; `currency` is empty where no price is stated."""

    items: list[PlannedRunOut]
    takes: ForecastOut
    currency: str
    warnings: list[str]
    seed: int
    digest: str


class ProgressOut(Schema):
    """How far the audit is. `fraction` is 0 to 1; `eta_seconds` is null where it cannot be told."""

    done_runs: int
    total_runs: int
    fraction: float
    eta_seconds: int | None


class BudgetOut(Schema):
    """What the audit may spend at endpoints, and what was spent or is set aside. null: no limit."""

    max_requests: int | None
    max_tokens: int | None
    max_cost: float | None
    drawn_requests: int
    drawn_tokens: int
    drawn_cost: float


class RunOut(Schema):
    """The latest attempt at one item of the suite."""

    id: str
    item: str
    evaluation: str
    evaluation_version: str
    attempt: int
    status: str
    reason_code: str
    reason: str
    progress_done: int
    progress_total: int
    progress_message: str
    device: str
    spent: dict[str, Any] = Field(description="At endpoints: requests, tokens, cost, currency; else empty.")
    started_at: datetime | None
    finished_at: datetime | None


class CardRef(Schema):
    """A report card of the audit; its content is under /cards/{id}."""

    id: str
    policy: str
    revision: int
    verdict: str
    status: str
    issued_at: datetime
    valid_until: datetime


class AuditOut(Schema):
    """An audit: where the process is. What the policy says is on its cards."""

    id: str
    status: str
    model: str
    model_digest: str
    dataset: str
    dataset_digest: str
    policies: list[str]
    seed: int
    digest: str
    ordinal: int
    supersedes: str | None
    judge: str | None
    reference: str | None
    budget: BudgetOut
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: ProgressOut
    runs: list[RunOut]
    cards: list[CardRef]


class AuditSummary(Schema):
    """An audit in a list."""

    id: str
    status: str
    model: str
    dataset: str
    requested_by: str
    created_at: datetime
    finished_at: datetime | None


class KeepAttacks(Schema):
    """Which item of the suite made the attacks, and the name of the data set that is to hold them."""

    item: str = Field(max_length=60, examples=["misspelling"])
    name: str = Field(max_length=60, examples=["sentiment-attacks"])


class KeptAttacks(Schema):
    """The version of the data set that holds the attacks: `added` of them are new in it, `known` it had before."""

    dataset: str
    version: str
    rows: int
    digest: str
    added: int
    known: int


class AuditPage(Schema):
    """One page of audits, newest first."""

    items: list[AuditSummary]
    next_cursor: str | None


def _plan_out(plan: services.AuditPlan) -> PlanOut:
    return PlanOut(
        items=[
            PlannedRunOut(
                item=run.item,
                evaluation=run.evaluation,
                title=run.title,
                version=run.version,
                params=run.params,
                refusal=run.refusal,
                takes=_forecast_out(run.takes),
                smallest_detectable_effect=run.takes.smallest_detectable_effect,
            )
            for run in plan.items
        ],
        takes=_forecast_out(plan.takes),
        currency=plan.currency,
        warnings=list(plan.warnings),
        seed=plan.seed,
        digest=plan.digest,
    )


def _forecast_out(takes: Forecast) -> ForecastOut:
    return ForecastOut(**{name: getattr(takes, name) for name in ForecastOut.model_fields})


def _run_out(run: EvaluationRun) -> RunOut:
    return RunOut(
        id=run.pk,
        item=run.item,
        evaluation=run.evaluation,
        evaluation_version=run.evaluation_version,
        attempt=run.attempt,
        status=run.status,
        reason_code=run.reason_code,
        reason=run.reason,
        progress_done=run.progress_done,
        progress_total=run.progress_total,
        progress_message=run.progress_message,
        device=run.device,
        spent=run.spent,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )


def _audit_out(audit: Audit) -> AuditOut:
    runs = latest_attempts(audit)
    now = progress(audit, runs)
    cards = (
        audit.cards.select_related("policy_version__policy").defer("canonical").order_by("issued_at", "pk")
    )
    versions = audit.policy_versions.select_related("policy").order_by("policy__name", "number")
    return AuditOut(
        id=audit.pk,
        status=audit.status,
        model=str(audit.model_version),
        model_digest=audit.model_version.digest,
        dataset=str(audit.dataset_version),
        dataset_digest=audit.dataset_version.digest,
        policies=[f"{version.policy.name}@{version.number}" for version in versions],
        seed=audit.seed,
        digest=audit.digest,
        ordinal=audit.ordinal,
        supersedes=audit.supersedes_id,
        judge=str(audit.judge_version) if audit.judge_version else None,
        reference=str(audit.reference_version) if audit.reference_version else None,
        budget=BudgetOut(**{name: getattr(audit, name) for name in BudgetOut.model_fields}),
        requested_by=str(audit.requested_by),
        created_at=audit.created_at,
        started_at=audit.started_at,
        finished_at=audit.finished_at,
        progress=ProgressOut(
            done_runs=now.done_runs,
            total_runs=now.total_runs,
            fraction=now.fraction,
            eta_seconds=now.eta_seconds,
        ),
        runs=[_run_out(run) for run in runs],
        cards=[
            CardRef(
                id=card.pk,
                policy=f"{card.policy_version.policy.name}@{card.policy_version.number}",
                revision=card.revision,
                verdict=card.verdict,
                status=card.status,
                issued_at=card.issued_at,
                valid_until=card.valid_until,
            )
            for card in cards
        ],
    )


def _retry_after(audit: Audit) -> int | None:
    return None if audit.status in ENDED else POLL_SECONDS


@router.post(
    "/audits",
    response={202: AuditOut, 200: PlanOut},
    summary="Ask for an audit, or with dry_run for its plan",
    operation_id="create_audit",
)
@idempotent
def create(request: Caller, payload: NewAudit) -> HttpResponse:
    model_version = by_reference(request.auth, ModelVersion, payload.model)
    dataset_version = by_reference(request.auth, DatasetVersion, payload.dataset)
    policy_versions = [resolve(request.auth, name) for name in payload.policies]
    judge_version = by_reference(request.auth, ModelVersion, payload.judge) if payload.judge else None
    reference_version = (
        by_reference(request.auth, ModelVersion, payload.reference) if payload.reference else None
    )
    budget = Budget(payload.max_requests, payload.max_tokens, payload.max_cost)
    if payload.dry_run:
        plan = services.plan(
            model_version=model_version,
            dataset_version=dataset_version,
            policy_versions=policy_versions,
            budget=budget,
            judge_version=judge_version,
            reference_version=reference_version,
        )
        return reply(_plan_out(plan))
    audit = services.submit(
        principal=request.auth,
        model_version=model_version,
        dataset_version=dataset_version,
        policy_versions=policy_versions,
        supersedes=fetch(request.auth, Audit, pk=payload.supersedes) if payload.supersedes else None,
        budget=budget,
        judge_version=judge_version,
        reference_version=reference_version,
    )
    return reply(_audit_out(audit), 202, f"audits/{audit.pk}", POLL_SECONDS)


@router.get("/audits", response=AuditPage, summary="List audits", operation_id="list_audits")
def index(request: Caller, page: PageQuery) -> AuditPage:
    rows = visible(request.auth, Audit).select_related(
        "model_version__model", "dataset_version__dataset", "requested_by"
    )
    found, cursor = paginate(rows, page)
    items = [
        AuditSummary(
            id=audit.pk,
            status=audit.status,
            model=str(audit.model_version),
            dataset=str(audit.dataset_version),
            requested_by=str(audit.requested_by),
            created_at=audit.created_at,
            finished_at=audit.finished_at,
        )
        for audit in found
    ]
    return AuditPage(items=items, next_cursor=cursor)


@router.get("/audits/{audit_id}", response=AuditOut, summary="Where an audit is", operation_id="get_audit")
def detail(request: Caller, audit_id: str) -> HttpResponse:
    """Answers 304 to `If-None-Match` while nothing but the estimated time has changed."""
    audit = fetch(request.auth, Audit, pk=audit_id)
    body = _audit_out(audit)
    etag = etag_of(body.model_dump(mode="json", exclude={"progress": {"eta_seconds"}}))
    return conditional(request, etag, reply(body, retry_after=_retry_after(audit)))


@router.post(
    "/audits/{audit_id}/cancel",
    response={202: AuditOut},
    summary="Stop an audit",
    operation_id="cancel_audit",
)
@idempotent
def cancel(request: Caller, audit_id: str) -> HttpResponse:
    audit = fetch(request.auth, Audit, pk=audit_id)
    services.request_cancel(principal=request.auth, audit=audit)
    audit.refresh_from_db()
    return reply(_audit_out(audit), 202, f"audits/{audit.pk}", _retry_after(audit))


@router.post(
    "/audits/{audit_id}/keep-attacks",
    response={201: KeptAttacks, 200: KeptAttacks},
    summary="Keep the attacks that succeeded as a data set",
    operation_id="keep_attacks",
)
@idempotent
def keep_attacks(request: Caller, audit_id: str, payload: KeepAttacks) -> HttpResponse:
    """A data set of the name grows by the attacks that it does not hold; 200 where it holds them all."""
    audit = fetch(request.auth, Audit, pk=audit_id)
    kept = keeping.keep_attacks(principal=request.auth, audit=audit, item=payload.item, name=payload.name)
    body = KeptAttacks(
        dataset=kept.version.dataset.name,
        version=kept.version.version,
        rows=kept.version.rows,
        digest=kept.version.digest,
        added=kept.added,
        known=kept.known,
    )
    return reply(body, 201 if kept.added else 200, f"datasets/{kept.version.dataset.name}")
