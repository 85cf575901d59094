"""What is published: frozen report cards, in numbered revisions, and what people decided on them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from auditor.accounts.models import User
from auditor.audits.models import Audit, EvaluationRun
from auditor.core import ids
from auditor.ledger.models import LedgerEntry
from auditor.policies.models import PolicyVersion


class Verdict(models.TextChoices):
    """What the policy says."""

    MEETS = "meets", _("Meets policy")
    MEETS_WITH_ACCEPTED_RISK = "meets_with_accepted_risk", _("Meets policy with accepted risk")
    INCOMPLETE = "incomplete", _("Incomplete")
    DOES_NOT_MEET = "does_not_meet", _("Does not meet policy")


class CardStatus(models.TextChoices):
    """Where the card is on its way. What the policy says is `verdict`, what a person decided is `Review.decision`."""

    ISSUED = "issued", _("Issued")
    IN_REVIEW = "in_review", _("In review")
    APPROVED = "approved", _("Approved")
    REJECTED = "rejected", _("Rejected")
    SUPERSEDED = "superseded", _("Superseded")
    REVOKED = "revoked", _("Revoked")
    EXPIRED = "expired", _("Expired")


class ReportCard(models.Model):
    """The frozen result of an audit under one policy version."""

    team_path: ClassVar[str] = "audit__model_version__model__team"

    id = models.CharField(primary_key=True, max_length=32, default=ids.card_id, editable=False)
    audit = models.ForeignKey(Audit, on_delete=models.PROTECT, related_name="cards")
    policy_version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="+")
    submitter = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")  # = audit.requested_by
    revision = models.PositiveIntegerField(default=1)
    verdict = models.CharField(max_length=32, choices=Verdict)
    status = models.CharField(max_length=16, choices=CardStatus, default=CardStatus.ISSUED)
    canonical = models.TextField()  # canonical JSON; everything is rendered from it
    digest = models.CharField(max_length=64, unique=True)  # hex SHA-256 of `canonical`
    ledger_entry = models.OneToOneField(LedgerEntry, on_delete=models.PROTECT, related_name="card")
    pdf_sha256 = models.CharField(max_length=64, blank=True)  # the signed file in the artefact store
    issued_at = models.DateTimeField()
    valid_until = models.DateTimeField()

    class Meta:
        verbose_name = _("report card")
        ordering: ClassVar = ["-issued_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["audit", "policy_version", "revision"], name="card_revision_once"
            ),
            models.CheckConstraint(condition=models.Q(verdict__in=Verdict.values), name="card_verdict_known"),
            models.CheckConstraint(
                condition=models.Q(status__in=CardStatus.values), name="card_status_known"
            ),
            # the target of the composite foreign key that keeps a review's submitter true
            models.UniqueConstraint(fields=["id", "submitter"], name="card_with_submitter"),
        ]

    def __str__(self) -> str:
        return self.id


class Decision(models.TextChoices):
    APPROVE = "approve", _("Approve")
    REJECT = "reject", _("Reject")


class Review(models.Model):
    """A named person's decision on a report card, with the reason. Append-only."""

    team_path: ClassVar[str] = "card__audit__model_version__model__team"

    id = models.CharField(primary_key=True, max_length=32, default=ids.review_id, editable=False)
    card = models.ForeignKey(ReportCard, on_delete=models.PROTECT, related_name="reviews")
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    submitter = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")  # = card.submitter
    decision = models.CharField(max_length=8, choices=Decision)
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("review")
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~models.Q(reviewer=models.F("submitter")), name="reviewer_is_not_submitter"
            ),
            models.CheckConstraint(condition=~models.Q(reason=""), name="review_has_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.decision} by {self.reviewer_id}"


class Exposure(models.Model):
    """Examples of evaluated data were shown to a person. Append-only."""

    team_path: ClassVar[str] = "card__audit__model_version__model__team"

    card = models.ForeignKey(ReportCard, on_delete=models.PROTECT, related_name="exposures")
    run = models.ForeignKey(EvaluationRun, on_delete=models.PROTECT, related_name="+")
    viewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    artifact_sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("exposure")

    def __str__(self) -> str:
        return f"examples of {self.run_id} shown to {self.viewer_id}"
