"""Issues report cards, renders them for export, and records what people decide on them."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

import auditor
from auditor.audits.facts import facts_of
from auditor.audits.models import Audit, AuditStatus
from auditor.core import ids, store
from auditor.core.access import Principal, require
from auditor.core.canonical import sha256_hex
from auditor.core.errors import DomainError, conflict, forbidden
from auditor.core.states import transition
from auditor.ledger import services as ledger
from auditor.policies import rules
from auditor.policies.models import PolicyVersion
from auditor.policies.services import document
from auditor.registry.models import ModelVersion
from auditor.reports import build, charts, queries
from auditor.reports import ml_bom as bill
from auditor.reports import pdf as printing
from auditor.reports.models import CardStatus, Decision, ReportCard, Review, Verdict
from evaluations.intake.model_notes import find_licence

log = logging.getLogger(__name__)
LEDGER_KIND = "report_card"
_DECIDED = {Decision.APPROVE: CardStatus.APPROVED, Decision.REJECT: CardStatus.REJECTED}
RELEASABLE = {
    Verdict.MEETS,
    Verdict.MEETS_WITH_ACCEPTED_RISK,
}  # failing, missing or undecided evidence never releases


@transaction.atomic
def issue(audit: Audit) -> list[ReportCard]:
    """One card for each policy of a completed, judged audit, recorded in the ledger. Those that exist are kept."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('cards:' || %s))", [audit.pk])
    audit.refresh_from_db()
    if audit.status != AuditStatus.COMPLETED:
        raise conflict(
            "audit_not_completed", f"Audit {audit.pk} is {audit.status}; only a completed one has a card."
        )
    runs = list(audit.runs.order_by("position", "attempt").prefetch_related("metrics", "artifacts"))
    run_facts = [queries.run_facts(run, audit.seed) for run in runs]
    cards = []
    for version in audit.policy_versions.select_related("policy").order_by("policy__name", "number"):
        existing = audit.cards.filter(policy_version=version).order_by("-revision").first()
        cards.append(existing or _issue_one(audit, version, runs, run_facts))
    return cards


def _issue_one(
    audit: Audit, version: PolicyVersion, runs: list[Any], run_facts: list[dict[str, Any]]
) -> ReportCard:
    results = queries.results_of(audit, version)
    if not results:
        raise conflict("audit_not_judged", f"Audit {audit.pk} has no control results under {version}.")
    facts = facts_of(audit.model_version, audit.dataset_version)
    controls = queries.control_facts(version, results, runs)
    now = timezone.now().replace(microsecond=0)
    valid_until = now + timedelta(days=document(version).valid_days)
    verdict = rules.verdict(
        [rules.Result(r.control, r.slice, rules.Outcome(r.outcome), r.required) for r in results]
    )
    card_id = ids.card_id()
    content = build.canonical(
        build.build(
            build.CardFacts(
                id=card_id,
                revision=1,
                issued_at=ledger.rfc3339(now),
                valid_until=ledger.rfc3339(valid_until),
                verdict=verdict.value,
                software={"name": "model-auditor", "version": auditor.__version__},
                model=queries.model_facts(audit.model_version),
                data=queries.data_facts(audit.dataset_version, audit.model_version.model.modality),
                policy=queries.policy_facts(version),
                audit=queries.audit_facts(audit),
                controls=controls,
                reported=queries.reported_facts(
                    version, facts.sensitive_columns, lambda when: when.holds(facts), runs
                ),
                runs=[_drawn(run, controls) for run in run_facts],
            )
        )
    )
    digest = sha256_hex(content)
    return ReportCard.objects.create(
        id=card_id,
        audit=audit,
        policy_version=version,
        submitter=audit.requested_by,
        verdict=verdict.value,
        canonical=content.decode(),
        digest=digest,
        ledger_entry=ledger.append(kind=LEDGER_KIND, subject=card_id, digest=digest),
        issued_at=now,
        valid_until=valid_until,
    )


def _drawn(run: dict[str, Any], controls: list[dict[str, Any]]) -> dict[str, Any]:
    """The run with each chart drawn into the store, with this policy's limits; one that cannot be has its table."""
    drawn = []
    for chart in run["charts"]:
        stored = json.loads(store.get(chart["sha256"]))
        try:
            svg = charts.render_svg(charts.with_limits(stored["spec"], run["item"], controls))
        except ValueError:
            log.warning("chart %s of %s cannot be drawn", chart["name"], run["id"], exc_info=True)
            drawn.append(chart)
            continue
        drawn.append({**chart, "svg_sha256": store.put(svg.encode())})
    return {**run, "charts": drawn}


def bundle(card: ReportCard) -> dict[str, Any]:
    """Card and proof in one JSON file, which `auditor verify` checks offline."""
    return {
        "schema": "evidence-bundle/1",
        "card": json.loads(card.canonical),
        "proof": ledger.proof(card.ledger_entry),
    }


def pdf(card: ReportCard) -> bytes:
    """The signed PDF: rendered when first asked for, then always the same file."""
    card.refresh_from_db(fields=["pdf_sha256"])
    if card.pdf_sha256:
        return store.get(card.pdf_sha256)
    proof = ledger.proof(card.ledger_entry)
    if proof["key_id"] != ledger.fingerprint():
        raise conflict(
            "key_changed",
            "The signing key was changed after this card was issued, and nothing was recorded since. "
            "Ask for the PDF again after the next report card; the JSON bundle is ready now.",
        )
    unsigned = printing.render(
        card.canonical.encode(), proof, queries.charts_of(card), queries.examples_of(card)
    )
    signed = printing.sign(unsigned, settings.SIGNING_KEY_FILE.read_bytes(), proof["certificate"].encode())
    sha256 = store.put(signed)
    # two may have rendered at once: the first to record its file wins, and both return that one
    ReportCard.objects.filter(pk=card.pk, pdf_sha256="").update(pdf_sha256=sha256)
    card.refresh_from_db(fields=["pdf_sha256"])
    return store.get(card.pdf_sha256)


def ml_bom(card: ReportCard) -> bytes:
    """The card's model as a CycloneDX ML-BOM, with what was measured of it."""
    stated = json.loads(card.canonical)
    return bill.ml_bom(
        _bill_subject(
            card.audit.model_version,
            model=stated["model"],
            digest=card.digest,
            issued_at=stated["issued_at"],
            software=stated["software"],
            card=stated,
        )
    )


def version_ml_bom(version: ModelVersion) -> bytes:
    """A model version as a CycloneDX ML-BOM, as it was registered."""
    return bill.ml_bom(
        _bill_subject(
            version,
            model=queries.model_facts(version),
            digest=version.digest,
            issued_at=ledger.rfc3339(version.created_at),
            software={"name": "model-auditor", "version": auditor.__version__},
        )
    )


def _bill_subject(version: ModelVersion, **facts: Any) -> bill.Subject:
    paths = [file["path"] for file in version.files]
    try:
        licence = find_licence(store.model_folder(version.digest), paths)
    except OSError as error:
        raise conflict(
            "files_missing", f"The files of {version} cannot be read in the store: {error.strerror}."
        ) from error
    parent = version.parent
    return bill.Subject(
        **facts,
        licence=licence.name if licence else "",
        spdx=bool(licence and licence.spdx),
        parent={"name": parent.model.name, "version": parent.version, "digest": parent.digest}
        if parent
        else None,
    )


@transaction.atomic
def open_review(*, principal: Principal, card: ReportCard) -> None:
    """Take a card into review; a rejected one by another person, on appeal."""
    _reviewer(principal, card)
    last = card.reviews.order_by("-created_at").first()
    if card.status == CardStatus.REJECTED and last is not None and last.reviewer_id == principal.user_id:
        raise forbidden("You rejected this card, so another reviewer must take its appeal.")
    transition(card, "status", source=[CardStatus.ISSUED, CardStatus.REJECTED], target=CardStatus.IN_REVIEW)


@transaction.atomic
def decide(*, principal: Principal, card: ReportCard, decision: str, reason: str) -> Review:
    """Approve or reject a card, as a person who did not submit it, with a written reason."""
    _reviewer(principal, card)
    if decision not in Decision.values:
        raise DomainError("invalid_decision", f"Decide with one of: {', '.join(Decision.values)}.")
    if not reason.strip():
        raise DomainError("reason_required", "Write why you decide so: the reason is kept with the decision.")
    if decision == Decision.APPROVE and card.verdict not in RELEASABLE:
        raise conflict(
            "not_releasable",
            f"A card whose verdict is “{card.get_verdict_display()}” cannot be approved. "
            "Reject it with your reason; a version or an audit that meets the policy gets a card of its own.",
        )
    if decision == Decision.APPROVE and card.valid_until <= timezone.now():
        raise conflict(
            "card_expired", "This card is no longer valid. Audit the model again before approving it."
        )
    if card.status == CardStatus.ISSUED:
        open_review(principal=principal, card=card)
    transition(card, "status", source=[CardStatus.IN_REVIEW], target=_DECIDED[Decision(decision)])
    return Review.objects.create(
        card=card,
        reviewer_id=principal.user_id,
        submitter_id=card.submitter_id,
        decision=decision,
        reason=reason.strip(),
    )


def _reviewer(principal: Principal, card: ReportCard) -> None:
    if not principal.is_person:
        raise forbidden("A token may not decide on a report card. Sign in and decide as a person.")
    require(principal, "review", card.audit.model_version.model.team_id)
    if principal.user_id == card.submitter_id:
        raise forbidden("You submitted this audit, so another reviewer must decide on its report card.")
