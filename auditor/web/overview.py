"""What the dashboard and the lists show: questions over several domains at once."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Prefetch, Q

from auditor.audits.models import Audit, AuditStatus, EvaluationRun
from auditor.audits.queries import Progress, progress
from auditor.core.access import Principal, visible
from auditor.registry.models import Model
from auditor.reports.models import CardStatus, ReportCard
from auditor.web.states import VERDICT_ORDER

UNDER_WAY = [AuditStatus.QUEUED, AuditStatus.RUNNING, AuditStatus.CANCELLING]


@dataclass(frozen=True)
class ModelRow:
    """A model with its newest report card."""

    model: Model
    card: ReportCard | None
    versions: int

    @property
    def verdict(self) -> str:
        return self.card.verdict if self.card else "none"


@dataclass(frozen=True)
class Running:
    """An audit under way and how far it is."""

    audit: Audit
    progress: Progress


def models(who: Principal, wanted: str = "") -> list[ModelRow]:
    """Every visible model, worst verdict first, then by name."""
    rows = visible(who, Model).select_related("owner", "team").annotate(n=Count("versions"))
    if wanted:
        rows = rows.filter(Q(name__icontains=wanted) | Q(description__icontains=wanted))
    newest = (
        visible(who, ReportCard)
        .select_related("audit__model_version", "policy_version__policy")
        .defer("canonical")
        .order_by("audit__model_version__model_id", "-issued_at")
        .distinct("audit__model_version__model_id")
    )
    cards = {card.audit.model_version.model_id: card for card in newest}
    found = [ModelRow(model, cards.get(model.pk), model.n) for model in rows]
    return sorted(found, key=lambda row: (VERDICT_ORDER.index(row.verdict), row.model.name))


def running(who: Principal) -> list[Running]:
    audits = (
        visible(who, Audit)
        .filter(status__in=UNDER_WAY)
        .select_related("model_version__model", "requested_by")
        .prefetch_related(
            Prefetch("runs", EvaluationRun.objects.defer("log_tail").order_by("position", "attempt"))
        )
        .order_by("-created_at")[:20]
    )
    return [Running(audit, progress(audit, latest(list(audit.runs.all())))) for audit in audits]


def latest(runs: list[EvaluationRun]) -> list[EvaluationRun]:
    """The last attempt at each item; `runs` in the order of position and attempt."""
    return list({run.item: run for run in runs}.values())


def to_review(who: Principal) -> list[ReportCard]:
    """Report cards that this person may decide on, oldest first."""
    teams = [team for team in who.roles if who.may("review", team)]
    return list(
        visible(who, ReportCard)
        .filter(
            status__in=[CardStatus.ISSUED, CardStatus.IN_REVIEW], audit__model_version__model__team__in=teams
        )
        .exclude(submitter_id=who.user_id)
        .select_related("audit__model_version__model", "policy_version__policy", "submitter")
        .defer("canonical")
        .order_by("issued_at")[:20]
    )


def submissions(who: Principal) -> list[Audit]:
    """The last audits that this person asked for, with their cards."""
    return list(
        visible(who, Audit)
        .filter(requested_by_id=who.user_id)
        .select_related("model_version__model")
        .prefetch_related(Prefetch("cards", ReportCard.objects.defer("canonical")))
        .order_by("-created_at")[:6]
    )
