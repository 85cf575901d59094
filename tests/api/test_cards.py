"""Report cards, bundles, PDFs and the deploy gate over the API."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from auditor.accounts.models import Team, User
from auditor.policies.models import PolicyVersion
from auditor.reports.models import CardStatus, ReportCard, Verdict
from tests.factories import a_model, a_version, adult_data, audited, calibration, groups, quality


@pytest.fixture
def card(engineer: User, team: Team, release_gate: PolicyVersion) -> ReportCard:
    found = {
        "classification": quality(0.79, 0.85, 0.89),
        "calibration": calibration(0.01, 0.02, 0.03),
        "groups": groups((0.30, 0.32, 0.34), (0.4, 0.5, 0.6)),
    }
    version = a_version(a_model(team, engineer))
    return audited(version, adult_data(team, engineer), [release_gate], found)[0]


def test_a_card_is_the_canonical_json_that_its_digest_is_over(api: Any, card: ReportCard) -> None:
    response = api.get(f"cards/{card.pk}")
    assert hashlib.sha256(response.content).hexdigest() == card.digest
    assert response["ETag"] == f'"{card.digest}"'
    assert api.get(f"cards/{card.pk}", If_None_Match=response["ETag"]).status_code == 304
    assert response.json()["id"] == card.pk


def test_an_audit_names_its_cards(api: Any, card: ReportCard) -> None:
    body = api.get(f"audits/{card.audit_id}").json()
    assert body["status"] == "completed"
    assert [(c["id"], c["verdict"], c["policy"]) for c in body["cards"]] == [
        (card.pk, "does_not_meet", "release-gate@1")
    ]


def test_a_bundle_holds_card_and_proof(api: Any, card: ReportCard) -> None:
    body = api.get(f"cards/{card.pk}/bundle").json()
    assert body["schema"] == "evidence-bundle/1"
    assert body["card"]["id"] == card.pk
    assert body["proof"]["entry"]["digest"] == card.digest


def test_a_pdf_is_sent_as_a_file(api: Any, card: ReportCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.reports.services.pdf", lambda card: b"%PDF-1.7 " + card.pk.encode())
    response = api.get(f"cards/{card.pk}/pdf")
    assert response["Content-Type"] == "application/pdf"
    assert card.pk in response["Content-Disposition"]
    assert response.content.startswith(b"%PDF")


def test_strangers_see_no_card(token: Callable[..., Any], stranger: User, card: ReportCard) -> None:
    for path in ("", "/bundle", "/pdf"):
        assert token(stranger).get(f"cards/{card.pk}{path}").status_code == 404
    digest = card.audit.model_version.digest
    answer = token(stranger).get(f"gate?digest={digest}").json()
    assert (answer["open"], answer["card"]) == (False, None)


def gate(api: Any, card: ReportCard, require: str = "approved", **more: str) -> dict[str, Any]:
    query = "&".join(f"{k}={v}" for k, v in {"require": require, **more}.items())
    body: dict[str, Any] = api.get(f"gate?digest={card.audit.model_version.digest}&{query}").json()
    assert body["reason"]
    return body


def test_the_gate_is_closed_for_a_model_that_fails_its_policy_even_if_approved(
    api: Any, card: ReportCard
) -> None:
    for status in (CardStatus.ISSUED, CardStatus.APPROVED):
        ReportCard.objects.update(status=status)
        for require in ("issued", "approved"):
            answer = gate(api, card, require)
            assert not answer["open"]
            assert answer["card"]["verdict"] == "does_not_meet"


@pytest.mark.parametrize(
    ("status", "issued", "approved"),
    [
        (CardStatus.ISSUED, True, False),
        (CardStatus.IN_REVIEW, True, False),
        (CardStatus.APPROVED, True, True),
        (CardStatus.REJECTED, False, False),
        (CardStatus.REVOKED, False, False),
        (CardStatus.SUPERSEDED, False, False),
    ],
)
def test_the_gate_follows_the_status_of_a_card_that_meets_its_policy(
    api: Any, card: ReportCard, status: str, issued: bool, approved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "auditor.reports.gate.PASSING", set(Verdict)
    )  # a card's verdict is final in the database
    ReportCard.objects.update(status=status)
    assert gate(api, card, "issued")["open"] is issued
    assert gate(api, card, "approved")["open"] is approved
    assert gate(api, card, "issued", policy="release-gate")["open"] is issued
    assert not gate(api, card, "issued", policy="another")["open"]


def test_the_gate_is_closed_when_the_card_is_out_of_date(
    api: Any, card: ReportCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.reports.gate.PASSING", set(Verdict))
    later = timezone.now() + timedelta(days=4000)
    monkeypatch.setattr("auditor.reports.gate.timezone", SimpleNamespace(now=lambda: later))
    assert "valid until" in gate(api, card, "issued")["reason"]


def test_the_gate_knows_nothing_of_other_files(api: Any, card: ReportCard) -> None:
    answer = api.get(f"gate?digest=sha256:{'0' * 64}").json()
    assert (answer["open"], answer["card"]) == (False, None)
    assert api.get("gate?digest=md5:abc").status_code == 422
    assert api.get(f"gate?digest=sha256:{'0' * 64}&require=nothing").status_code == 422
