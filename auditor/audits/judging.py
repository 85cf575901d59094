"""Holding what was measured against what the policies demand; the outcome is frozen."""

from __future__ import annotations

from auditor.audits.facts import facts_of
from auditor.audits.models import Audit, ControlResult, Metric, RunStatus
from auditor.audits.queries import latest_attempts
from auditor.policies.judging import judged
from auditor.policies.services import document


def judge(audit: Audit) -> None:
    """Write one ControlResult for each control and slice of each policy of the audit."""
    facts = facts_of(audit.model_version, audit.dataset_version)
    runs = {run.pk: run for run in latest_attempts(audit)}
    measured = {
        (runs[metric.run_id].item, metric.name, metric.slice): metric
        for metric in Metric.objects.filter(run__in=runs.values(), run__status=RunStatus.SUCCEEDED)
    }
    ended = {run.item: str(run.status) for run in runs.values()}
    for version in audit.policy_versions.all():
        ControlResult.objects.bulk_create(
            ControlResult(
                audit=audit,
                policy_version=version,
                position=position,
                control=control.id,
                slice=slice_,
                outcome=found.outcome,
                required=control.decides(found.outcome),
                metric=metric,
                reason_code=found.reason,
                more_examples=found.more_examples,
            )
            for position, (control, slice_, metric, found) in enumerate(
                judged(document(version), facts, measured, ended)
            )
        )
