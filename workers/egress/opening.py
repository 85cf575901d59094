"""From the rows of the database to a running broker: where the model is served, with which secret, for which data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from auditor.audits import budgets
from auditor.audits.models import Audit
from auditor.core.errors import DomainError
from auditor.registry import credentials, endpoints
from auditor.registry.egress import Reach, origin_text, reach
from auditor.registry.models import ModelVersion
from workers.egress.broker import Broker, Credential
from workers.egress.purse import Amount


@dataclass(frozen=True)
class AuditAccount:
    """The audit's budget. The purse's thread has a database connection of its own, which ends with the account."""

    audit_id: str

    def draw(self, amount: Amount) -> bool:
        try:
            return budgets.draw(self.audit_id, amount.requests, amount.tokens, amount.cost)
        except (OperationalError, InterfaceError):  # the child asks again, over a new connection
            connection.close()
            raise

    def give_back(self, amount: Amount) -> None:
        try:
            if connection.connection is not None and not connection.is_usable():
                connection.close()  # the database was restarted since the last draw
            budgets.give_back(self.audit_id, amount.requests, amount.tokens, amount.cost)
        finally:
            connection.close()


@contextmanager
def broker_for(audit: Audit, version: ModelVersion) -> Iterator[Broker | None]:
    """A running broker for a model that is served somewhere, None for one whose files are here."""
    spec = endpoints.spec_of(version)
    if spec is None:
        yield None
        return
    how_far = reach(audit.dataset_version.egress, spec.origin)
    if how_far is Reach.NOWHERE:  # refused when it was planned, and here again
        raise DomainError(
            "egress_forbidden",
            f"The rows of {audit.dataset_version} may not be shown to {origin_text(spec.origin)}.",
        )
    opened = credentials.opened(version.model_id, origin_text(spec.origin))
    broker = Broker(
        spec,
        allowed=settings.EGRESS_ALLOW,
        own_network=how_far is Reach.OWN_NETWORK,
        credential=Credential(opened.header, opened.value, opened.secret) if opened else None,
        account=AuditAccount(audit.pk) if budgets.is_limited(audit) else None,
        authorities=settings.EGRESS_CA_FILE,
    )
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
