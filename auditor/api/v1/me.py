"""Who is calling."""

from __future__ import annotations

from ninja import Router, Schema

from auditor.accounts.models import Team
from auditor.api.auth import Caller

router = Router(tags=["Account"])


class TeamRole(Schema):
    """A team and the caller's role in it: engineer, reviewer, regulator or admin."""

    id: str
    name: str
    role: str


class Me(Schema):
    """`scopes` narrows what a token may do; null for a signed-in person."""

    name: str
    teams: list[TeamRole]
    scopes: list[str] | None


@router.get("/me", response=Me, summary="Who the token or session acts for", operation_id="get_me")
def me(request: Caller) -> Me:
    who = request.auth
    teams = [
        TeamRole(id=team.pk, name=team.name, role=who.roles[team.pk])
        for team in Team.objects.filter(pk__in=list(who.roles)).order_by("name")
    ]
    return Me(name=who.name, teams=teams, scopes=None if who.scopes is None else sorted(who.scopes))
