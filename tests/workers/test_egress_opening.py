"""From the database to a running broker: its account outlives a restart, and what is set up wrongly is named."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.db import OperationalError, connection

from auditor.accounts.models import Team, User
from auditor.audits import services
from auditor.audits.budgets import Budget
from auditor.audits.models import Audit
from auditor.core.access import Principal
from auditor.core.errors import DomainError
from auditor.policies.models import PolicyVersion
from auditor.registry.models import DatasetVersion
from evaluations.endpoints import EndpointSpec, RestMapping
from tests.endpoints import put_endpoint
from workers.egress.opening import AuditAccount, broker_for
from workers.egress.purse import Amount


@pytest.fixture
def audit(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    adult: DatasetVersion,
    release_gate: PolicyVersion,
    settings: LazySettings,
    tmp_path: Path,
) -> Audit:
    settings.ARTIFACTS_DIR = tmp_path / "artifacts"
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
    spec = EndpointSpec(protocol="rest", url="https://models.example.org", rest=RestMapping())
    fields = {f.name: getattr(adult, f.name) for f in DatasetVersion._meta.fields if f.name != "id"}
    return services.submit(
        principal=as_engineer,
        model_version=put_endpoint(team, engineer, spec, labels=("<=50K", ">50K")),
        dataset_version=DatasetVersion.objects.create(**{**fields, "version": "shown", "egress": ["any"]}),
        policy_versions=[release_gate],
        budget=Budget(max_requests=100),
    )


@pytest.mark.django_db(transaction=True)
def test_an_account_goes_on_after_its_connection_was_cut(audit: Audit) -> None:
    """As by a restart of the database: a draw fails once, and what is left is still given back."""
    account = AuditAccount(audit.pk)
    seen: list[Any] = []

    def cut() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            to_cut.append(cursor.fetchone()[0])
        asked.set()
        assert done.wait(10)
        asked.clear()
        done.clear()

    def purse() -> None:
        seen.append(account.draw(Amount(requests=16)))
        cut()
        try:
            account.draw(Amount(requests=1))
        except OperationalError as error:
            seen.append(type(error))
        seen.append(account.draw(Amount(requests=4)))
        cut()
        account.give_back(Amount(requests=15))

    to_cut: list[int] = []
    asked, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=purse)
    thread.start()
    for _ in range(2):
        assert asked.wait(10)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [to_cut[-1]])
            assert cursor.fetchone() == (True,)
        done.set()
        while asked.is_set():
            time.sleep(0.001)
    thread.join(10)
    assert seen == [True, OperationalError, True]
    audit.refresh_from_db()
    assert audit.drawn_requests == 5


@pytest.mark.django_db
@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_file_of_authorities_that_cannot_be_read_is_named_before_anything_is_asked(
    audit: Audit, settings: Any, tmp_path: Path, content: bytes | None
) -> None:
    settings.EGRESS_CA_FILE = tmp_path / "own.pem"
    if content is not None:
        settings.EGRESS_CA_FILE.write_bytes(content)
    with pytest.raises(DomainError) as refused, broker_for(audit, audit.model_version):
        pass
    assert refused.value.code == "egress_ca_file"
    assert "EGRESS_CA_FILE" in refused.value.message
    assert "own.pem" in refused.value.message
