"""Teams as callers name them."""

from __future__ import annotations

from auditor.accounts.models import Team
from auditor.core.access import Principal
from auditor.core.errors import not_found


def team_named(principal: Principal, name: str | None) -> Team | None:
    """The caller's team of this name or id; None where none is named."""
    if name is None:
        return None
    for team in Team.objects.filter(pk__in=list(principal.roles)):
        if name in (team.name, team.pk):
            return team
    raise not_found("team", name)
