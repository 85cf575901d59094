"""From a completed audit to a signed, provable report card and a person's decision on it."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.utils import timezone

from auditor.accounts.models import Membership, Role, Team, User
from auditor.accounts.services import principal_of
from auditor.audits.models import (
    Artifact,
    Audit,
    AuditStatus,
    ControlResult,
    EvaluationRun,
    Metric,
    RunStatus,
)
from auditor.core import store
from auditor.core.access import Principal
from auditor.core.canonical import canonical_json, sha256_hex
from auditor.core.errors import DomainError
from auditor.ledger import merkle
from auditor.ledger import services as ledger
from auditor.ledger.models import Checkpoint, LedgerEntry
from auditor.ledger.verify import verify_proof
from auditor.policies.services import publish
from auditor.registry.models import Dataset, DatasetVersion, Model, ModelVersion
from auditor.reports import services
from auditor.reports.models import CardStatus, ReportCard, Review
from tests import factories
from tests.card_examples import GROUP_CHART

POLICY = """
schema: policy/1
name: one-limit
title: One limit
suite:
  - {item: classification, evaluation: quality.classification}
controls:
  - {id: QUAL-01, title: Balanced accuracy, area: quality, item: classification, metric: balanced_accuracy,
     comparison: ">=", limit: 0.8, min_n: 200}
report:
  - {item: classification, metric: accuracy, area: quality}
"""


def judged(
    team: Team, engineer: User, *, limit: float, outcome: str, reference: ModelVersion | None = None
) -> Audit:
    """A judged audit with a lost and a succeeded attempt; balanced accuracy lies between .788 and .804."""
    model = Model.objects.create(
        name="income", team=team, owner=engineer, modality="tabular", intended_use="Ranking."
    )
    version = ModelVersion.objects.create(
        model=model, version="3.2.0", digest="sha256:" + "9f2c" * 16, format="skops", size=10, submitted_by=engineer,
        files=[{"path": "model.skops", "size": 10, "sha256": "ab" * 32}], labels=["<=50K", ">50K"],
    )  # fmt: skip
    data = DatasetVersion.objects.create(
        dataset=Dataset.objects.create(name="adult", team=team), version="1", digest="sha256:" + "71ab" * 16,
        format="csv", size=5, rows=1000, roles={"age": "input", "income": "target"}, submitted_by=engineer,
        summary={"classes": {"<=50K": 760, ">50K": 240}, "groups": {}},
    )  # fmt: skip
    policy = publish(principal=None, source=POLICY.replace("limit: 0.8", f"limit: {limit}"))
    now = timezone.now()
    audit = Audit.objects.create(
        model_version=version, dataset_version=data, status=AuditStatus.COMPLETED, seed=7, digest="sha256:" + "5e" * 32,
        ordinal=2, requested_by=engineer, started_at=now, finished_at=now, reference_version=reference,
    )  # fmt: skip
    audit.policy_versions.add(policy)
    common = {"audit": audit, "item": "classification", "position": 0, "evaluation": "quality.classification",
              "evaluation_version": "1", "params": {"max_error_rate": 0.02}}  # fmt: skip
    EvaluationRun.objects.create(
        **common, attempt=1, status=RunStatus.LOST, reason="The worker stopped answering."
    )
    run = EvaluationRun.objects.create(
        **common, attempt=2, status=RunStatus.SUCCEEDED, isolation={"summary": "none"}
    )
    chart = canonical_json(GROUP_CHART)
    Artifact.objects.create(
        run=run,
        kind="chart",
        name="selection_rates",
        media_type="application/json",
        sha256=store.put(chart),
        size=len(chart),
    )
    metric = Metric.objects.create(
        run=run, name="balanced_accuracy", value=0.79600000000000004, ci_low=0.788, ci_high=0.804, interval_level=0.95,
        interval_method="wilson", n=1000, unit="proportion", direction="higher", status="ok",
    )  # fmt: skip
    ControlResult.objects.create(
        audit=audit, policy_version=policy, position=0, control="QUAL-01", outcome=outcome, required=True,
        metric=metric, reason_code="interval_straddles_limit" if outcome == "inconclusive" else "interval_keeps_limit",
        more_examples=3211 if outcome == "inconclusive" else None,
    )  # fmt: skip
    return audit


@pytest.fixture
def audit(team: Team, engineer: User) -> Audit:
    """Balanced accuracy cannot be told from its limit."""
    return judged(team, engineer, limit=0.8, outcome="inconclusive")


@pytest.fixture
def meeting_card(team: Team, engineer: User) -> ReportCard:
    """Balanced accuracy keeps its limit."""
    return services.issue(judged(team, engineer, limit=0.75, outcome="pass"))[0]


@pytest.fixture
def card(audit: Audit) -> ReportCard:
    return services.issue(audit)[0]


def test_the_card_says_what_was_measured_and_what_it_means(card: ReportCard) -> None:
    content = json.loads(card.canonical)
    (control,) = content["controls"]
    assert (card.verdict, content["verdict"], control["value"]) == ("incomplete", "incomplete", 0.796)
    assert control["reason"].startswith("Cannot tell yet; about 3,300 more examples would settle it.")
    assert content["reported"][0]["metric"] == "accuracy"
    assert content["reported"][0]["value"] is None  # not measured is null, never 0
    assert [(r["attempt"], r["status"]) for r in content["runs"]] == [(1, "lost"), (2, "succeeded")]
    assert content["audit"]["ordinal"] == 2
    assert content["deciding"] == [{"control": "QUAL-01", "slice": "all"}]


def test_the_card_names_the_models_that_were_asked_beside_the_audited_one(team: Team, engineer: User) -> None:
    base = factories.a_version(factories.a_model(team, engineer, name="base"), digest="ba5e")
    (card,) = services.issue(judged(team, engineer, limit=0.75, outcome="pass", reference=base))
    audit = json.loads(card.canonical)["audit"]
    assert (audit["judge"], audit["reference"]) == (None, {"model": "base@1.0.0", "digest": base.digest})


@pytest.mark.parametrize(("modality", "listed"), [("tabular", 2), ("causal_lm", 0)])
def test_the_targets_of_a_model_that_writes_are_not_listed_as_classes(
    team: Team, engineer: User, modality: str, listed: int
) -> None:
    """They are planted secrets and people's data, where privacy is audited."""
    audit = judged(team, engineer, limit=0.75, outcome="pass")
    Model.objects.update(modality=modality)
    (card,) = services.issue(Audit.objects.get(pk=audit.pk))
    assert len(json.loads(card.canonical)["data"]["summary"]["classes"]) == listed


def test_the_charts_of_a_card_are_drawn_into_the_store(card: ReportCard) -> None:
    chart = json.loads(card.canonical)["runs"][1]["charts"][0]
    assert store.get(chart["svg_sha256"]).startswith(b"<svg ")


def test_issuing_again_gives_the_same_card(audit: Audit, card: ReportCard) -> None:
    assert services.issue(audit) == [card]
    assert LedgerEntry.objects.count() == 1


def test_an_audit_that_is_not_completed_has_no_card(audit: Audit) -> None:
    Audit.objects.filter(pk=audit.pk).update(status=AuditStatus.CANCELLED)
    with pytest.raises(DomainError, match="only a completed one has a card"):
        services.issue(audit)


def test_the_bundle_proves_the_card(card: ReportCard) -> None:
    bundle = json.loads(canonical_json(services.bundle(card)))
    proven = verify_proof(canonical_json(bundle["card"]), bundle["proof"])
    assert (proven.digest, proven.index, proven.key_id) == (card.digest, 0, ledger.fingerprint())


def test_the_database_computes_the_same_leaf_hash(card: ReportCard) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT encode(sha256('\\x00'::bytea || sha256(convert_to(canonical, 'UTF8'))), 'hex') "
            "FROM reports_reportcard WHERE id = %s",
            [card.pk],
        )
        (leaf,) = cursor.fetchone()
    assert card.ledger_entry.leaf_hash == leaf


def test_the_ledger_grows_without_gaps_and_each_tree_contains_the_last(db: None) -> None:
    for i in range(5):
        ledger.append(kind="report_card", subject=f"rc_{i}", digest=sha256_hex(bytes([i])))
    with transaction.atomic():
        ledger.append(kind="report_card", subject="rc_undone", digest=sha256_hex(b"undone"))
        transaction.set_rollback(True)
    last = ledger.append(kind="report_card", subject="rc_5", digest=sha256_hex(b"5"))
    assert last.index == 5
    assert list(Checkpoint.objects.values_list("size", flat=True)) == [1, 2, 3, 4, 5, 6]
    roots = {c.size: bytes.fromhex(c.root_hash) for c in Checkpoint.objects.all()}
    for old in range(1, 7):
        proof = [bytes.fromhex(h) for h in ledger.consistency(old, 6)]
        assert merkle.consistent(old, roots[old], 6, roots[6], proof)


def test_the_ledger_cannot_be_rewritten(card: ReportCard) -> None:
    for change in (
        lambda: LedgerEntry.objects.update(digest="00"),
        lambda: LedgerEntry.objects.all()._raw_delete("default"),
        lambda: Checkpoint.objects.update(root_hash="00"),
        lambda: ReportCard.objects.update(verdict="meets"),
    ):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            change()


def test_the_pdf_is_signed_once_and_kept(card: ReportCard) -> None:
    first = services.pdf(card)
    assert first.startswith(b"%PDF-")
    assert hashlib.sha256(first).hexdigest() == card.pdf_sha256
    assert services.pdf(ReportCard.objects.get(pk=card.pk)) == first


def test_a_reviewer_approves_with_a_reason(meeting_card: ReportCard, as_reviewer: Principal) -> None:
    card = meeting_card
    review = services.decide(
        principal=as_reviewer, card=card, decision="approve", reason="  Evidence suffices. "
    )
    assert (card.status, review.reason, review.submitter_id) == (
        CardStatus.APPROVED,
        "Evidence suffices.",
        card.submitter_id,
    )
    with pytest.raises(DomainError, match="can only become"):
        services.decide(principal=as_reviewer, card=card, decision="reject", reason="Changed my mind.")


def test_a_decision_needs_a_reason_and_a_known_word(card: ReportCard, as_reviewer: Principal) -> None:
    with pytest.raises(DomainError, match="Write why"):
        services.decide(principal=as_reviewer, card=card, decision="approve", reason=" ")
    with pytest.raises(DomainError, match="approve, reject"):
        services.decide(principal=as_reviewer, card=card, decision="maybe", reason="Hm.")
    assert not Review.objects.exists()


def test_an_engineer_may_not_decide(card: ReportCard, as_engineer: Principal) -> None:
    with pytest.raises(DomainError, match="may not review"):
        services.decide(principal=as_engineer, card=card, decision="approve", reason="Mine is good.")


def test_the_submitter_may_not_decide_even_as_administrator(
    card: ReportCard, engineer: User, team: Team
) -> None:
    Membership.objects.filter(user=engineer, team=team).update(role=Role.ADMIN)
    with pytest.raises(DomainError, match="another reviewer must decide"):
        services.decide(
            principal=principal_of(engineer), card=card, decision="approve", reason="Mine is good."
        )


def test_the_database_refuses_a_submitters_review_whatever_the_code_does(
    card: ReportCard, engineer: User
) -> None:
    with pytest.raises(IntegrityError, match="reviewer_is_not_submitter"), transaction.atomic():
        Review.objects.create(
            card=card, reviewer=engineer, submitter=engineer, decision="approve", reason="Mine."
        )


def test_the_database_refuses_a_review_that_names_another_submitter(
    card: ReportCard, engineer: User, reviewer: User
) -> None:
    Review.objects.create(
        card=card, reviewer=engineer, submitter=reviewer, decision="approve", reason="Mine."
    )
    with pytest.raises(IntegrityError, match="foreign key"):  # checked when the transaction would commit
        connection.check_constraints()


def test_a_token_may_never_decide(card: ReportCard, as_reviewer: Principal) -> None:
    token = Principal(
        as_reviewer.user_id, "ci", as_reviewer.roles, scopes=frozenset({"read", "submit", "review"})
    )
    with pytest.raises(DomainError, match="token may not decide"):
        services.decide(principal=token, card=card, decision="approve", reason="Automated.")


def test_a_card_that_does_not_meet_its_policy_cannot_be_approved(
    card: ReportCard, as_reviewer: Principal
) -> None:
    with pytest.raises(DomainError, match="cannot be approved") as refused:
        services.decide(principal=as_reviewer, card=card, decision="approve", reason="It is close enough.")
    assert refused.value.code == "not_releasable"
    card.refresh_from_db()
    assert (card.status, Review.objects.count()) == (CardStatus.ISSUED, 0)


def test_the_appeal_of_a_rejection_is_for_another_person(
    meeting_card: ReportCard, as_reviewer: Principal, team: Team
) -> None:
    card = meeting_card
    services.decide(principal=as_reviewer, card=card, decision="reject", reason="Too little evidence.")
    with pytest.raises(DomainError, match="another reviewer must take its appeal"):
        services.open_review(principal=as_reviewer, card=card)
    other = User.objects.create_user("rita", password="correct horse battery staple")
    Membership.objects.create(user=other, team=team, role=Role.REVIEWER)
    services.open_review(principal=principal_of(other), card=card)
    services.decide(
        principal=principal_of(other), card=card, decision="approve", reason="The evidence was overlooked."
    )
    assert card.status == CardStatus.APPROVED


def test_a_card_past_its_date_is_not_approved(
    team: Team, engineer: User, as_reviewer: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = judged(team, engineer, limit=0.75, outcome="pass")
    past = timezone.now() - timedelta(days=400)
    monkeypatch.setattr("auditor.reports.services.timezone.now", lambda: past)
    card = services.issue(audit)[0]
    monkeypatch.undo()
    with pytest.raises(DomainError, match="no longer valid"):
        services.decide(principal=as_reviewer, card=card, decision="approve", reason="Late.")
