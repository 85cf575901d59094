"""What is demanded: policies and their immutable versions."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from auditor.accounts.models import Team, User
from auditor.core import ids


class Policy(models.Model):
    """A named set of demands. Built-in ones (`team` empty) are readable by everybody."""

    id = models.CharField(primary_key=True, max_length=32, default=ids.policy_id, editable=False)
    name = models.SlugField(max_length=60, unique=True)
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT, related_name="policies")
    title = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("policy")

    def __str__(self) -> str:
        return self.name


class PolicyVersion(models.Model):
    """One immutable version: the text that people wrote, and the validated document that is applied."""

    id = models.CharField(primary_key=True, max_length=32, default=ids.policy_version_id, editable=False)
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    source = models.TextField()  # the YAML
    document = models.JSONField()  # policies.document.PolicyDocument, as JSON
    digest = models.CharField(max_length=71)  # sha256:… of the canonical JSON of `document`
    published_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("policy version")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["policy", "number"], name="policy_number_once"),
            models.UniqueConstraint(fields=["policy", "digest"], name="policy_digest_once"),
        ]

    def __str__(self) -> str:
        return f"{self.policy.name} v{self.number}"
