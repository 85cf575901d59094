"""Holds measurements against the controls of a policy. Pure: audits and local runs share it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar

from auditor.policies import rules
from auditor.policies.document import Control, Facts, PolicyDocument


class Measured(Protocol):
    """A measured value, from the database or straight from an evaluation."""

    @property
    def value(self) -> float | None: ...
    @property
    def ci_low(self) -> float | None: ...
    @property
    def ci_high(self) -> float | None: ...
    @property
    def n(self) -> int: ...
    @property
    def status(self) -> str: ...


M = TypeVar("M", bound=Measured)
SUCCEEDED = "succeeded"


def judged(
    stated: PolicyDocument,
    facts: Facts,
    measured: Mapping[tuple[str, str, str], M],
    ended: Mapping[str, str],
) -> Iterator[tuple[Control, str, M | None, rules.Judged]]:
    """Each control on each of its slices: what was measured, and what it comes to.

    `measured` is by (suite item, metric, slice) and holds succeeded runs alone; `ended` says how each
    item's latest run ended.
    """
    for control in stated.controls:
        if not control.applies_when.holds(facts):
            yield control, "all", None, rules.Judged(rules.Outcome.NOT_APPLICABLE, "does_not_apply")
            continue
        demand = rules.Demand(control.comparison, control.limit, control.decide_by, control.min_n)
        for slice_ in control.slice_names(facts) or ("all",):
            metric = measured.get((control.item, control.metric, slice_))
            if metric is None:
                status = ended.get(control.item, SUCCEEDED)
                reason = f"run_{status}" if status != SUCCEEDED else "not_measured"
                yield control, slice_, None, rules.Judged(rules.Outcome.NOT_ASSESSED, reason)
                continue
            yield (
                control,
                slice_,
                metric,
                rules.judge(
                    demand,
                    rules.Measurement(metric.value, metric.ci_low, metric.ci_high, metric.n, metric.status),
                ),
            )
