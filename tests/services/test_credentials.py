"""The secret of an endpoint: sealed, bound to where it is sent, shown to nobody."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connection

from auditor.accounts.models import Team
from auditor.core.access import Principal
from auditor.core.errors import DomainError
from auditor.registry import credentials
from auditor.registry.egress import Reach, destination, origin_text, reach
from auditor.registry.models import EndpointCredential, Model, ModelVersion

pytestmark = pytest.mark.django_db
HERE = "https://api.example.org"


@pytest.fixture(autouse=True)
def key(settings: LazySettings) -> str:
    key = Fernet.generate_key().decode()
    settings.CREDENTIAL_KEYS = [key]
    return key


@pytest.fixture
def model(income: ModelVersion) -> Model:
    return income.model


def put(who: Principal, model: Model, secret: str = "sk-hunter2", **more: str) -> EndpointCredential:
    return credentials.set_credential(principal=who, model=model, secret=secret, **{"origin": HERE, **more})


def test_a_secret_is_sealed_and_opens_for_its_model_and_its_address_alone(
    as_engineer: Principal, model: Model, team: Team
) -> None:
    row = put(as_engineer, model)
    assert "hunter2" not in str(EndpointCredential.objects.values().get())
    opened = credentials.opened(model.pk, HERE)
    assert opened is not None
    assert (opened.header, opened.value, opened.secret) == (
        "Authorization",
        "Bearer sk-hunter2",
        "sk-hunter2",
    )
    assert "hunter2" not in f"{opened}{row}{row!r}"
    with pytest.raises(DomainError) as refused:
        credentials.opened(model.pk, "https://evil.example")
    assert refused.value.code == "credential_origin"
    assert "hunter2" not in refused.value.message

    EndpointCredential.objects.update(origin="https://evil.example")  # what the row says counts for nothing
    with pytest.raises(DomainError):
        credentials.opened(model.pk, "https://evil.example")
    other = Model.objects.create(name="other", team=team, owner=model.owner, modality="tabular")
    EndpointCredential.objects.update(model=other)  # nor does whose row it is
    with pytest.raises(DomainError):
        credentials.opened(other.pk, HERE)
    assert credentials.opened(model.pk, HERE) is None


@pytest.mark.parametrize(
    ("given", "sent", "hidden"),
    [
        ({"secret": "Basic dXNlcg=="}, ("Authorization", "Basic dXNlcg=="), "dXNlcg=="),
        ({"secret": "abc", "header": "x-api-key"}, ("x-api-key", "abc"), "abc"),
        ({"secret": "  abc\n"}, ("Authorization", "Bearer abc"), "abc"),
    ],
)
def test_a_secret_is_sent_as_its_header_demands(
    as_engineer: Principal, model: Model, given: dict[str, str], sent: tuple[str, str], hidden: str
) -> None:
    put(as_engineer, model, **given)
    opened = credentials.opened(model.pk, HERE)
    assert opened is not None
    assert ((opened.header, opened.value), opened.secret) == (sent, hidden)


@pytest.mark.parametrize(
    "given",
    [
        {"secret": ""},
        {"secret": "a\r\nHost: evil"},
        {"secret": "a b c"},
        {"secret": "schlüssel"},
        {"secret": "x" * 9000},
        {"header": "Host"},
        {"header": "content-length"},
        {"header": "A: b"},
        {"origin": "ftp://example.org"},
        {"origin": "https://user:pw@example.org"},
        {"origin": "https://example.org/v1"},
        {"origin": "any"},
        {"origin": "same_network"},
        {"origin": ""},  # the model is served nowhere
    ],
)
def test_what_cannot_be_sent_as_a_header_to_one_service_is_refused(
    as_engineer: Principal, model: Model, given: dict[str, str]
) -> None:
    with pytest.raises(DomainError) as refused:
        put(as_engineer, model, **given)
    assert refused.value.code == "invalid_input"
    assert not EndpointCredential.objects.exists()


def test_others_can_neither_set_nor_remove_it(
    as_engineer: Principal, as_stranger: Principal, as_reviewer: Principal, model: Model
) -> None:
    put(as_engineer, model)
    for who in (as_stranger, as_reviewer):
        with pytest.raises(DomainError):
            put(who, model, "other")
        with pytest.raises(DomainError):
            credentials.remove_credential(principal=who, model=model)
    opened = credentials.opened(model.pk, HERE)
    assert opened is not None
    assert opened.secret == "sk-hunter2"
    credentials.remove_credential(principal=as_engineer, model=model)
    assert credentials.opened(model.pk, HERE) is None


def test_keys_are_rotated_by_listing_the_new_one_first(
    as_engineer: Principal, model: Model, key: str, settings: LazySettings
) -> None:
    put(as_engineer, model)
    new = Fernet.generate_key().decode()
    settings.CREDENTIAL_KEYS = [new, key]
    assert credentials.opened(model.pk, HERE) is not None
    call_command("rotatecredentials", verbosity=0)
    settings.CREDENTIAL_KEYS = [new]
    assert credentials.opened(model.pk, HERE) is not None
    settings.CREDENTIAL_KEYS = [key]
    with pytest.raises(DomainError) as refused:
        credentials.opened(model.pk, HERE)
    assert refused.value.code == "credential_key"


@pytest.mark.django_db(transaction=True)
def test_a_secret_that_is_set_during_a_rotation_is_the_one_that_stays(
    as_engineer: Principal, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(as_engineer, model)

    def puts_another() -> None:
        try:
            put(as_engineer, model, "sk-another")
        finally:
            connection.close()

    open_one, other = credentials._open, threading.Thread(target=puts_another)

    def meanwhile(row: EndpointCredential) -> dict[str, str]:
        if other.ident is None:
            other.start()
            other.join(0.5)  # it is either done by then, or waits for the rotation
        return open_one(row)

    monkeypatch.setattr(credentials, "_open", meanwhile)
    assert credentials.rotate() == 1
    other.join(10)
    opened = credentials.opened(model.pk, HERE)
    assert opened is not None
    assert opened.secret == "sk-another"


def test_without_a_key_nothing_is_stored(
    as_engineer: Principal, model: Model, settings: LazySettings
) -> None:
    for keys in ([], ["not a key"]):
        settings.CREDENTIAL_KEYS = keys
        with pytest.raises(DomainError) as refused:
            put(as_engineer, model)
        assert "make setup" in refused.value.message
    assert not EndpointCredential.objects.exists()


def test_no_log_holds_the_secret(
    as_engineer: Principal, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        put(as_engineer, model)
        credentials.opened(model.pk, HERE)
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("same_network", "same_network"),
        ("any", "any"),
        ("https://API.example.org", "https://api.example.org"),
        ("https://api.example.org:443/", "https://api.example.org"),
        ("http://10.1.2.3:8000", "http://10.1.2.3:8000"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_a_destination_is_kept_in_one_form(written: str, kept: str) -> None:
    assert destination(written) == kept


@pytest.mark.parametrize(
    "written", ["", "none", "api.example.org", "ftp://x", "https://", "https://x/y", "https://x:99999"]
)
def test_what_is_no_destination_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is no destination"):
        destination(written)


@pytest.mark.parametrize(
    ("egress", "expected"),
    [
        ([], Reach.NOWHERE),
        (["https://other.example"], Reach.NOWHERE),
        (["http://api.example.org"], Reach.NOWHERE),
        (["https://api.example.org:8443"], Reach.NOWHERE),
        (["same_network"], Reach.OWN_NETWORK),
        (["same_network", HERE], Reach.ANYWHERE),
        (["any"], Reach.ANYWHERE),
    ],
)
def test_rows_reach_a_service_only_where_the_data_set_says_so(egress: list[str], expected: Any) -> None:
    origin = ("https", "api.example.org", 443)
    assert origin_text(origin) == HERE
    assert reach(egress, origin) is expected
