"""Submitting an audit, leasing its runs, and closing it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from auditor.accounts.models import Team, User
from auditor.audits import leases, services
from auditor.audits.models import Audit, AuditStatus, ControlResult, EvaluationRun, Metric, RunStatus
from auditor.core.access import Principal
from auditor.core.errors import DomainError
from auditor.policies.models import PolicyVersion
from auditor.registry.models import DatasetVersion, ModelVersion
from evaluations.endpoints import EndpointSpec, RestMapping
from evaluations.spec import Coverage, EvaluationResult, Interval
from evaluations.spec import Metric as Measured
from tests import factories
from tests.endpoints import put_endpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def audit(
    as_engineer: Principal, income: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion
) -> Audit:
    return services.submit(
        principal=as_engineer, model_version=income, dataset_version=adult, policy_versions=[release_gate]
    )


def result_of(
    run: EvaluationRun, metrics: dict[tuple[str, str], tuple[float, float, float]]
) -> EvaluationResult:
    return EvaluationResult(
        evaluation=run.evaluation,
        version=run.evaluation_version,
        params=run.params,
        model_digest=run.audit.model_version.digest,
        data_digest=run.audit.dataset_version.digest,
        seed=run.audit.seed,
        metrics=tuple(
            Measured(
                name=name, slice=slice_, value=v, interval=Interval(low=lo, high=hi, method="wilson"), n=1000
            )
            for (name, slice_), (lo, v, hi) in metrics.items()
        ),
        coverage=Coverage(attempted=1000, scored=1000),
    )


def finish(
    run: EvaluationRun, owner: str, metrics: dict[tuple[str, str], tuple[float, float, float]]
) -> None:
    leases.succeed(run, owner, result_of(run, metrics), [], device="cpu", isolation={"summary": "full"})


def finish_all(audit: Audit) -> None:
    found = {
        "classification": {("balanced_accuracy", "all"): (0.81, 0.82, 0.83)},
        "calibration": {("ece_debiased", "all"): (0.01, 0.02, 0.03)},
        "groups": {
            ("selection_rate_ratio", "sex"): (0.29, 0.32, 0.35),
            ("selection_rate_ratio", "race"): (0.7, 0.8, 0.9),
        },
    }
    while (run := leases.claim("w1")) is not None:
        finish(run, "w1", found[run.item])


def test_submitting_queues_what_the_policy_demands_of_such_a_model(audit: Audit) -> None:
    assert [r.item for r in audit.runs.all()] == ["classification", "calibration", "groups"]  # no text attack
    assert {r.status for r in audit.runs.all()} == {RunStatus.QUEUED}
    assert audit.ordinal == 1


def test_an_audit_supersedes_one_of_the_same_model_alone(
    audit: Audit,
    as_engineer: Principal,
    income: ModelVersion,
    adult: DatasetVersion,
    release_gate: PolicyVersion,
    team: Team,
    engineer: User,
) -> None:
    how = {
        "principal": as_engineer,
        "dataset_version": adult,
        "policy_versions": [release_gate],
        "supersedes": audit,
    }
    other = factories.a_version(factories.a_model(team, engineer, "credit"), digest="77aa")
    with pytest.raises(DomainError, match="audit of income, not of credit"):
        services.submit(model_version=other, **how)
    assert services.submit(model_version=income, **how).supersedes == audit


def test_the_seed_comes_from_the_digests_alone(
    audit: Audit,
    as_engineer: Principal,
    income: ModelVersion,
    adult: DatasetVersion,
    release_gate: PolicyVersion,
) -> None:
    again = services.submit(
        principal=as_engineer, model_version=income, dataset_version=adult, policy_versions=[release_gate]
    )
    assert again.seed == audit.seed
    assert again.ordinal == 2


def test_a_stranger_cannot_submit(
    as_stranger: Principal, income: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion
) -> None:
    with pytest.raises(DomainError) as refused:
        services.submit(
            principal=as_stranger, model_version=income, dataset_version=adult, policy_versions=[release_gate]
        )
    assert refused.value.status == 403
    assert not Audit.objects.exists()


def test_each_run_is_claimed_once_and_then_there_is_none(audit: Audit) -> None:
    claimed = [leases.claim("w1"), leases.claim("w2"), leases.claim("w1"), leases.claim("w2")]
    assert len({run.pk for run in claimed[:3] if run}) == 3
    assert claimed[3] is None
    audit.refresh_from_db()
    assert audit.status == AuditStatus.RUNNING


def test_of_a_served_model_one_run_is_under_way_at_a_time(
    as_engineer: Principal,
    income: ModelVersion,
    adult: DatasetVersion,
    release_gate: PolicyVersion,
    settings: LazySettings,
    tmp_path: Path,
) -> None:
    """So that the next run finds the answers of the one before it. Other models do not wait for it."""
    settings.ARTIFACTS_DIR = tmp_path
    spec = EndpointSpec(protocol="rest", url="https://models.example.org", rest=RestMapping())
    served = put_endpoint(income.model.team, income.submitted_by, spec)
    shown = {f.name: getattr(adult, f.name) for f in DatasetVersion._meta.fields if f.name != "id"}
    data = DatasetVersion.objects.create(**{**shown, "version": "shown", "egress": ["any"]})
    for model in (served, income):
        services.submit(
            principal=as_engineer, model_version=model, dataset_version=data, policy_versions=[release_gate]
        )
    first = leases.claim("w1")
    assert first is not None
    assert first.audit.model_version == served
    others = [leases.claim(f"w{number}") for number in (2, 3, 4, 5)]
    assert [run.audit.model_version for run in others if run] == [income] * 3
    leases.fail(first, "w1", RunStatus.ERRORED, code="x", reason="x", isolation={})
    second = leases.claim("w1")
    assert second is not None
    assert second.audit.model_version == served


def test_only_the_holder_of_the_lease_can_write(audit: Audit) -> None:
    run = leases.claim("w1")
    assert run is not None
    with pytest.raises(DomainError) as refused:
        finish(run, "w2", {("balanced_accuracy", "all"): (0.8, 0.9, 1.0)})
    assert refused.value.code == "lease_lost"
    assert not Metric.objects.exists()


def test_an_expired_lease_is_marked_lost_and_tried_again_in_a_new_row(audit: Audit) -> None:
    run = leases.claim("w1")
    assert run is not None
    EvaluationRun.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert leases.reap() == [run.pk]
    attempts = audit.runs.filter(item=run.item).order_by("attempt")
    assert [(a.attempt, a.status) for a in attempts] == [(1, RunStatus.LOST), (2, RunStatus.QUEUED)]
    assert leases.reap() == []


def test_after_the_last_attempt_a_lost_run_stays_lost(audit: Audit) -> None:
    for _ in range(3):
        run = leases.claim("w1")
        assert run is not None
        EvaluationRun.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        EvaluationRun.objects.exclude(item=run.item).filter(status=RunStatus.QUEUED).update(
            created_at=timezone.now() + timedelta(days=1)
        )
        leases.reap()
    assert audit.runs.filter(item=run.item, status=RunStatus.LOST).count() == 3
    assert not audit.runs.filter(item=run.item, status=RunStatus.QUEUED).exists()


def test_two_live_attempts_at_one_item_are_refused_by_the_database(audit: Audit) -> None:
    first = audit.runs.first()
    with pytest.raises(IntegrityError), transaction.atomic():
        EvaluationRun.objects.create(
            audit=audit,
            item=first.item,
            position=0,
            evaluation=first.evaluation,
            evaluation_version="1",
            attempt=2,
        )


def test_completing_judges_every_control_on_every_slice(audit: Audit) -> None:
    finish_all(audit)
    services.complete(audit)
    found = {(r.control, r.slice): r.outcome for r in ControlResult.objects.all()}
    assert found == {
        ("QUAL-01", "all"): "pass",
        ("QUAL-02", "all"): "pass",
        ("FAIR-01", "race"): "inconclusive",
        ("FAIR-01", "sex"): "fail",
    }


def test_a_run_that_failed_leaves_its_controls_not_assessed_with_the_reason(audit: Audit) -> None:
    run = leases.claim("w1")
    assert run is not None
    leases.fail(run, "w1", RunStatus.TIMED_OUT, code="time_limit", reason="Too slow.", isolation={})
    finish_all(audit)
    services.complete(audit)
    judged = ControlResult.objects.get(control="QUAL-01")
    assert (judged.outcome, judged.reason_code) == ("not_assessed", "run_timed_out")


def test_an_audit_with_live_runs_cannot_be_completed(audit: Audit) -> None:
    leases.claim("w1")
    with pytest.raises(DomainError) as refused, transaction.atomic():
        services.complete(audit)
    assert refused.value.code == "runs_still_live"
    audit.refresh_from_db()
    assert audit.status == AuditStatus.RUNNING


def test_cancelling_stops_what_is_queued_and_waits_for_what_runs(
    as_engineer: Principal, audit: Audit
) -> None:
    run = leases.claim("w1")
    assert run is not None
    audit.refresh_from_db()
    services.request_cancel(principal=as_engineer, audit=audit)
    audit.refresh_from_db()
    assert audit.status == AuditStatus.CANCELLING
    beat = {"done": 0, "total": 0, "message": "", "log_tail": "", "isolation": {}}
    assert leases.heartbeat(run, "w1", **beat) is False
    leases.fail(
        run, "w1", RunStatus.CANCELLED, code="cancelled", reason="Cancelled on request.", isolation={}
    )
    assert services.finish_cancel(audit)
    assert set(audit.runs.values_list("status", flat=True)) == {RunStatus.CANCELLED}


def test_a_cancelled_audit_still_counts_as_one(
    as_engineer: Principal,
    audit: Audit,
    income: ModelVersion,
    adult: DatasetVersion,
    release_gate: PolicyVersion,
) -> None:
    services.request_cancel(principal=as_engineer, audit=audit)
    again = services.submit(
        principal=as_engineer, model_version=income, dataset_version=adult, policy_versions=[release_gate]
    )
    assert again.ordinal == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE registry_modelversion SET digest = 'x'",
        "DELETE FROM registry_modelversion",
        "UPDATE policies_policyversion SET source = ''",
        "UPDATE audits_audit SET seed = 1",
        "UPDATE audits_evaluationrun SET params = '{}', attempt = 9",
        "TRUNCATE registry_modelversion CASCADE",
    ],
)
def test_what_was_pinned_cannot_be_changed_in_the_database(audit: Audit, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE waits for no check that is still due
        with pytest.raises(IntegrityError), transaction.atomic():
            cursor.execute(statement)
