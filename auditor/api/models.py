"""What the API itself remembers: answers to requests that must not be carried out twice."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from auditor.accounts.models import User


class IdempotentRequest(models.Model):
    """A POST with an Idempotency-Key: in flight while `status` is empty, then with the answer that is replayed."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=71)  # sha256:… of method, path and body
    started_at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=b"")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once"),
        ]

    def __str__(self) -> str:
        return self.key
