"""Questions about audits that need thought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from auditor.audits.models import LIVE, Audit, EvaluationRun, RunStatus


@dataclass(frozen=True)
class Progress:
    """How far an audit is. `fraction` is 0 to 1; `eta_seconds` None where it cannot be told."""

    done_runs: int
    total_runs: int
    fraction: float
    eta_seconds: int | None


def latest_attempts(audit: Audit) -> list[EvaluationRun]:
    """The last attempt at each item, in the order of the suite."""
    latest = {run.item: run for run in audit.runs.order_by("position", "attempt")}
    return list(latest.values())


def progress(audit: Audit, runs: Sequence[EvaluationRun] | None = None) -> Progress:
    """Runs count alike; one under way counts by its own progress. `runs` spares a query where they are at hand."""
    runs = latest_attempts(audit) if runs is None else runs
    done = sum(run.status not in LIVE for run in runs)
    parts = sum(
        1.0 if run.status not in LIVE else min(1.0, run.progress_done / run.progress_total)
        for run in runs
        if run.status not in LIVE or (run.status == RunStatus.RUNNING and run.progress_total)
    )
    fraction = parts / len(runs) if runs else 1.0
    eta = None
    if audit.started_at and 0.05 < fraction < 1:
        elapsed = (timezone.now() - audit.started_at).total_seconds()
        eta = round(elapsed * (1 - fraction) / fraction)
    return Progress(done, len(runs), fraction, eta)
