"""Holding what was measured against what the policies demand; the outcome is frozen."""

from __future__ import annotations

from collections.abc import Iterator

from auditor.audits.facts import facts_of
from auditor.audits.models import Audit, ControlResult, EvaluationRun, Metric, RunStatus
from auditor.audits.queries import latest_attempts
from auditor.policies import rules
from auditor.policies.document import Control, Facts
from auditor.policies.models import PolicyVersion
from auditor.policies.services import document


def judge(audit: Audit) -> None:
    """Write one ControlResult for each control and slice of each policy of the audit."""
    facts = facts_of(audit.model_version, audit.dataset_version)
    runs = {run.item: run for run in latest_attempts(audit)}
    measured = {
        (metric.run_id, metric.name, metric.slice): metric
        for metric in Metric.objects.filter(run__in=runs.values(), run__status=RunStatus.SUCCEEDED)
    }
    for version in audit.policy_versions.all():
        ControlResult.objects.bulk_create(_results(audit, version, facts, runs, measured))


def _results(
    audit: Audit,
    version: PolicyVersion,
    facts: Facts,
    runs: dict[str, EvaluationRun],
    measured: dict[tuple[str, str, str], Metric],
) -> Iterator[ControlResult]:
    position = 0
    for control in document(version).controls:
        for slice_, metric, judged in _judged(control, facts, runs, measured):
            yield ControlResult(
                audit=audit,
                policy_version=version,
                position=position,
                control=control.id,
                slice=slice_,
                outcome=judged.outcome,
                required=control.required,
                metric=metric,
                reason_code=judged.reason,
                more_examples=judged.more_examples,
            )
            position += 1


def _judged(
    control: Control,
    facts: Facts,
    runs: dict[str, EvaluationRun],
    measured: dict[tuple[str, str, str], Metric],
) -> Iterator[tuple[str, Metric | None, rules.Judged]]:
    demand = rules.Demand(control.comparison, control.limit, control.decide_by, control.min_n)
    if not control.applies_when.holds(facts):
        yield "all", None, rules.Judged(rules.Outcome.NOT_APPLICABLE, "does_not_apply")
        return
    run = runs.get(control.item)
    for slice_ in control.slice_names(facts) or ("all",):
        metric = measured.get((run.pk, control.metric, slice_)) if run else None
        if metric is None:
            ended_badly = run is not None and run.status != RunStatus.SUCCEEDED
            reason = f"run_{run.status}" if run is not None and ended_badly else "not_measured"
            yield slice_, None, rules.Judged(rules.Outcome.NOT_ASSESSED, reason)
            continue
        yield (
            slice_,
            metric,
            rules.judge(
                demand,
                rules.Measurement(metric.value, metric.ci_low, metric.ci_high, metric.n, metric.status),
            ),
        )
