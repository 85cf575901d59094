"""What a report card says of one control or one reported metric. Pure: audits and local runs share it."""

from __future__ import annotations

from typing import Any, Protocol

from auditor.policies.document import Control, Measured, PolicyDocument
from auditor.policies.rules import Judged
from evaluations.spec import MetricSpec


class MeasuredValue(Protocol):
    """A measured value, from the database or straight from an evaluation."""

    @property
    def value(self) -> float | None: ...
    @property
    def ci_low(self) -> float | None: ...
    @property
    def ci_high(self) -> float | None: ...
    @property
    def interval_method(self) -> str: ...
    @property
    def interval_level(self) -> float | None: ...
    @property
    def n(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str: ...


def control_facts(
    stated: PolicyDocument,
    control: Control,
    slice_: str,
    metric: MeasuredValue | None,
    found: Judged,
    run_reason: str,
) -> dict[str, Any]:
    """One control on one slice, as auditor.reports.build wants it. `run_reason`: why its run gave nothing."""
    spec = stated.metric_spec(control)
    return {
        "control": control.id,
        "title": control.title,
        "area": control.area,
        "severity": control.severity,
        "required": control.decides(found.outcome),
        "outcome": str(found.outcome),
        "reason_code": found.reason,
        "reason": metric.reason if metric is not None else run_reason,
        **_measured(stated, control, spec, metric, slice_),
        "comparison": control.comparison,
        "limit": control.limit,
        "decide_by": control.decide_by,
        "min_n": control.min_n,
        "more_examples": found.more_examples,
        "formula": spec.formula,
        "reference": spec.reference,
    }


def reported_facts(
    stated: PolicyDocument,
    report: Measured,
    area: str,
    slice_: str,
    metric: MeasuredValue | None,
    reason: str,
) -> dict[str, Any]:
    """One metric that is measured and printed without a limit."""
    return {
        **_measured(stated, report, stated.metric_spec(report), metric, slice_),
        "area": area,
        "status": metric.status if metric else "not_measured",
        "reason": metric.reason if metric else reason,
    }


def _measured(
    stated: PolicyDocument, wanted: Measured, spec: MetricSpec, metric: MeasuredValue | None, slice_: str
) -> dict[str, Any]:
    return {
        "item": wanted.item,
        "evaluation": stated.suite_item(wanted.item).evaluation,
        "metric": wanted.metric,
        "metric_title": spec.title,
        "slice": slice_,
        "value": metric.value if metric else None,
        "ci_low": metric.ci_low if metric else None,
        "ci_high": metric.ci_high if metric else None,
        "interval_method": metric.interval_method if metric else "",
        "interval_level": metric.interval_level if metric else None,
        "n": metric.n if metric else 0,
        "unit": spec.unit,
        "direction": spec.direction.value,
        "plain_template": spec.plain,
    }
