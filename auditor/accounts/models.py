"""Who uses the service: people, teams, roles and API tokens."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from auditor.core import ids


class User(AbstractUser):
    """A person. What they may do comes from their memberships."""

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Team(models.Model):
    """Owns models, data sets and policies; nothing is shared between teams."""

    id = models.CharField(primary_key=True, max_length=32, default=ids.team_id, editable=False)
    name = models.CharField(max_length=80, unique=True)

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    ENGINEER = "engineer", _("Engineer")
    REVIEWER = "reviewer", _("Reviewer")
    REGULATOR = "regulator", _("Regulator")
    ADMIN = "admin", _("Administrator")


class Membership(models.Model):
    """The role of a person in a team."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "team"], name="one_role_per_team"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.role} · {self.team}"


class ApiToken(models.Model):
    """A credential for the API: `audp_<id12>_<secret32><crc6>`, shown once; only an HMAC of the secret is kept."""

    id = models.CharField(primary_key=True, max_length=12, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    secret_hmac = models.BinaryField(max_length=32)
    pepper = models.PositiveSmallIntegerField()  # the number of the pepper that secret_hmac was made with
    scopes = ArrayField(models.CharField(max_length=16))
    allowed_networks = ArrayField(
        models.CharField(max_length=43), default=list, blank=True
    )  # CIDR; empty = any
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"audp_{self.id}_… ({self.name})"
