"""What can be proved: an append-only log of digests and the signed heads of its Merkle tree."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class LedgerEntry(models.Model):
    """One leaf. The database refuses to change, delete or truncate it."""

    index = models.PositiveBigIntegerField(primary_key=True)  # 0, 1, 2, … without gaps
    kind = models.CharField(max_length=20)  # "report_card"
    subject = models.CharField(max_length=32)  # id of what was recorded
    digest = models.CharField(max_length=64)  # hex SHA-256 of the canonical JSON that was recorded
    leaf_hash = models.CharField(max_length=64)  # hex SHA-256(0x00 || digest bytes), RFC 6962
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("ledger entry")
        ordering: ClassVar = ["index"]

    def __str__(self) -> str:
        return f"#{self.index} {self.kind} {self.subject}"


class Checkpoint(models.Model):
    """A signed tree head. Append-only."""

    size = models.PositiveBigIntegerField(primary_key=True)  # leaves covered
    root_hash = models.CharField(max_length=64)
    key_id = models.CharField(
        max_length=64
    )  # hex SHA-256 of the signer's public key (SubjectPublicKeyInfo DER)
    signature = models.TextField()  # base64
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("checkpoint")
        ordering: ClassVar = ["size"]

    def __str__(self) -> str:
        return f"checkpoint of {self.size}"
