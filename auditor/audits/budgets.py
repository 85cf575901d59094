"""What an audit may spend at endpoints: given when it is submitted, drawn by its runs on whatever worker they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.db.models import F, Q

from auditor.audits.models import Audit
from auditor.core.errors import DomainError, Problem


@dataclass(frozen=True)
class Budget:
    """None: no limit. Cost is in the currency of the endpoint's price."""

    max_requests: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None

    def checked(self) -> Budget:
        """Raises `invalid_input` for what is no budget."""
        problems = [
            Problem(f"/{name}", "A budget is a number above 0, and at most 10¹⁵.")
            for name, value in vars(self).items()
            if value is not None and not (math.isfinite(value) and 0 < value <= 1e15)
        ]
        if problems:
            raise DomainError(
                "invalid_input", f"{problems[0].pointer[1:]}: {problems[0].detail}", errors=problems
            )
        return self


def is_limited(audit: Audit) -> bool:
    return (audit.max_requests, audit.max_tokens, audit.max_cost) != (None, None, None)


def draw(audit_id: str, requests: int, tokens: int, cost: float) -> bool:
    """Set so much of the audit's budget aside, all or nothing. One conditional UPDATE: runs share it safely."""
    enough = Q()
    for name, amount in (("requests", requests), ("tokens", tokens), ("cost", cost)):
        enough &= Q(**{f"max_{name}": None}) | Q(**{f"max_{name}__gte": F(f"drawn_{name}") + amount})
    return bool(
        Audit.objects.filter(enough, pk=audit_id).update(
            drawn_requests=F("drawn_requests") + requests,
            drawn_tokens=F("drawn_tokens") + tokens,
            drawn_cost=F("drawn_cost") + cost,
        )
    )


def give_back(audit_id: str, requests: int, tokens: int, cost: float) -> None:
    """Return what was drawn and not spent; negative amounts were spent beyond what was drawn."""
    Audit.objects.filter(pk=audit_id).update(
        drawn_requests=F("drawn_requests") - requests,
        drawn_tokens=F("drawn_tokens") - tokens,
        drawn_cost=F("drawn_cost") - cost,
    )
