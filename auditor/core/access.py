"""The only way to fetch an object for a person or a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from auditor.core.errors import forbidden, not_found

M = TypeVar("M", bound=Model)

# What each role may do. Approving and accepting risk also need a person (no token), asked where it happens.
PERMISSIONS: Mapping[str, frozenset[str]] = {
    "engineer": frozenset({"read", "submit"}),
    "reviewer": frozenset({"read", "review"}),
    "regulator": frozenset({"read"}),
    "admin": frozenset({"read", "submit", "review", "administer"}),
}


@dataclass(frozen=True)
class Principal:
    """Who asks: a signed-in person (`scopes` None) or a token acting for one within its scopes."""

    user_id: int
    name: str
    roles: Mapping[str, str] = field(default_factory=dict)  # team id -> role
    scopes: frozenset[str] | None = None

    @property
    def is_person(self) -> bool:
        return self.scopes is None

    def may(self, permission: str, team_id: str) -> bool:
        if self.scopes is not None and permission not in self.scopes:
            return False
        return permission in PERMISSIONS.get(self.roles.get(team_id, ""), frozenset())


def visible(principal: Principal, model: type[M]) -> QuerySet[M]:
    """The rows of `model` whose team the principal may read. `model.team_path` names the way to the team."""
    teams = [team for team in principal.roles if principal.may("read", team)]
    path: str = model.team_path  # type: ignore[attr-defined]  # each domain model declares it
    return model._default_manager.filter(**{f"{path}__in": teams})


def fetch(principal: Principal, model: type[M], **lookup: Any) -> M:
    """One visible row, or `not_found`: what may not be seen cannot be told from what is not there."""
    row = visible(principal, model).filter(**lookup).first()
    if row is None:
        raise not_found(str(model._meta.verbose_name), " ".join(str(v) for v in lookup.values()))
    return row


def require(principal: Principal, permission: str, team_id: str) -> None:
    """Raise `forbidden` unless the principal may do this in the team."""
    if not principal.may(permission, team_id):
        kind = "Your account" if principal.is_person else "This token"
        raise forbidden(
            f"{kind} may not {permission} in this team. Ask a team administrator for the role or scope."
        )
