"""The deploy gate: whether a report card in force lets exactly these files pass."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from auditor.core.access import Principal, visible
from auditor.reports.models import CardStatus, ReportCard, Verdict

PASSING = {Verdict.MEETS, Verdict.MEETS_WITH_ACCEPTED_RISK}
IN_FORCE = {
    "approved": {CardStatus.APPROVED},
    "issued": {CardStatus.ISSUED, CardStatus.IN_REVIEW, CardStatus.APPROVED},
}


@dataclass(frozen=True)
class Answer:
    """`card` is the one that decides: the first that holds the gate closed, else the newest."""

    open: bool
    reason: str
    card: ReportCard | None


def gate(principal: Principal, *, digest: str, require: str, policy: str = "") -> Answer:
    """Look at the newest card of this model digest under each policy (or the one named); all must let it pass.

    `require` is `approved` (by a reviewer) or `issued`. The verdict must meet the policy in both cases.
    """
    cards = (
        visible(principal, ReportCard)
        .filter(audit__model_version__digest=digest)
        .select_related("policy_version__policy")
        .defer("canonical")
        .order_by("policy_version__policy_id", "-issued_at", "-revision")
        .distinct("policy_version__policy_id")
    )
    if policy:
        cards = cards.filter(policy_version__policy__name=policy)
    newest = sorted(cards, key=lambda card: card.issued_at, reverse=True)
    if not newest:
        return Answer(
            False, "There is no report card that you can see for these files. Push and audit them.", None
        )
    for card in newest:
        if fault := _fault(card, require):
            return Answer(False, fault, card)
    return Answer(
        True, f"Report card {newest[0].pk} under {newest[0].policy_version} is in force.", newest[0]
    )


def _fault(card: ReportCard, require: str) -> str:
    """Why this card holds the gate closed, "" where it does not."""
    name = f"Report card {card.pk} under {card.policy_version}"
    if card.verdict not in PASSING:
        return f"{name} says: {card.get_verdict_display()}. Audit a version that meets the policy."
    if card.valid_until <= timezone.now():
        return f"{name} was valid until {card.valid_until:%Y-%m-%d}. Audit the version again."
    if card.status not in IN_FORCE[require]:
        wanted = "A reviewer must approve it first." if require == "approved" else "It is not in force."
        return f"{name} is {card.get_status_display().lower()}. {wanted}"
    return ""
