"""Gathers from the database what a report card is made of, and what its PDF shows beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from auditor.audits.models import Artifact, Audit, ControlResult, EvaluationRun
from auditor.core import store
from auditor.ledger.services import rfc3339
from auditor.policies.models import PolicyVersion
from auditor.policies.rules import Judged, Outcome
from auditor.policies.services import document
from auditor.registry.models import DatasetVersion, ModelVersion
from auditor.reports import control_facts as facts
from auditor.reports.models import ReportCard
from evaluations import catalogue
from evaluations.spec import EvaluationError, Modality

WRITING = (Modality.CAUSAL_LM, Modality.MASKED_LM, Modality.SEQ2SEQ, Modality.EXTRACTIVE_QA)


def results_of(audit: Audit, version: PolicyVersion) -> list[ControlResult]:
    return list(
        audit.control_results.filter(policy_version=version)
        .select_related("metric__run")
        .order_by("position")
    )


def model_facts(version: ModelVersion) -> dict[str, Any]:
    model = version.model
    return {
        "name": model.name,
        "version": version.version,
        "digest": version.digest,
        "format": version.format,
        "modality": model.modality,
        "size": version.size,
        "files": [{"path": f["path"], "size": f["size"], "sha256": f["sha256"]} for f in version.files],
        "labels": version.labels,
        "description": model.description,
        "risk_tier": model.risk_tier,
        "intended_use": model.intended_use,
        "out_of_scope_use": model.out_of_scope_use,
        "languages": model.languages,
        "team": model.team.name,
        "submitted_by": str(version.submitted_by),
        "provenance": version.provenance,
        "parent": str(version.parent) if version.parent else None,
    }


def data_facts(version: DatasetVersion, modality: str) -> dict[str, Any]:
    """Facts of the data that a model of this modality was audited on.

    What stands in the target of a model that writes is an answer, a person's datum or a planted secret: no class.
    """
    summary = version.summary if modality not in WRITING else {**version.summary, "classes": {}}
    return {
        "name": version.dataset.name,
        "version": version.version,
        "digest": version.digest,
        "rows": version.rows,
        "licence": version.dataset.licence,
        "source": version.dataset.source,
        "roles": version.roles,
        "favourable_label": version.favourable_label,
        "held_out": version.held_out,
        "summary": summary,
        "languages": version.languages,
    }


def policy_facts(version: PolicyVersion) -> dict[str, Any]:
    stated = document(version)
    return {
        "name": version.policy.name,
        "title": stated.title,
        "number": version.number,
        "digest": version.digest,
        "published_at": rfc3339(version.published_at),
        "description": stated.description,
    }


def audit_facts(audit: Audit) -> dict[str, Any]:
    return {
        "id": audit.pk,
        "requested_by": str(audit.requested_by),
        "requested_at": rfc3339(audit.created_at),
        "started_at": _time(audit.started_at),
        "finished_at": _time(audit.finished_at),
        "seed": audit.seed,
        "digest": audit.digest,
        "ordinal": audit.ordinal,
        "judge": _other(audit.judge_version),
        "reference": _other(audit.reference_version),
    }


def _other(version: ModelVersion | None) -> dict[str, str] | None:
    """Another model that was asked beside the audited one."""
    return {"model": str(version), "digest": version.digest} if version else None


def control_facts(
    version: PolicyVersion, results: Iterable[ControlResult], runs: Iterable[EvaluationRun]
) -> list[dict[str, Any]]:
    """One dict per control and slice, as auditor.reports.build wants them."""
    stated = document(version)
    controls = {control.id: control for control in stated.controls}
    last = {run.item: run for run in runs}  # in order of attempts
    found = []
    for result in results:
        control = controls[result.control]
        run = last.get(control.item)
        judged = Judged(Outcome(result.outcome), result.reason_code, result.more_examples)
        found.append(
            facts.control_facts(
                stated, control, result.slice, result.metric, judged, run.reason if run else ""
            )
        )
    return found


def reported_facts(
    version: PolicyVersion, columns: Iterable[str], applies: Any, runs: list[EvaluationRun]
) -> list[dict[str, Any]]:
    """What the policy has measured without a limit. `applies` tells whether an `applies_when` holds."""
    stated = document(version)
    last = {run.item: run for run in runs}
    found = []
    for report in stated.report:
        if not applies(report.applies_when):
            continue
        run = last.get(report.item)
        reason = run.reason if run else "Its evaluation was not run."
        for slice_ in ("all",) if report.slices == "all" else tuple(columns):
            metric = run.metrics.filter(name=report.metric, slice=slice_).first() if run else None
            found.append(facts.reported_facts(stated, report, report.area, slice_, metric, reason))
    return found


def run_facts(run: EvaluationRun, seed: int) -> dict[str, Any]:
    artifacts = list(run.artifacts.order_by("kind", "name"))
    return {
        "id": run.pk,
        "item": run.item,
        "evaluation": run.evaluation,
        "evaluation_title": _evaluation_title(run.evaluation),
        "evaluation_version": run.evaluation_version,
        "attempt": run.attempt,
        "status": run.status,
        "reason_code": run.reason_code,
        "reason": run.reason,
        "params": run.params,
        "seed": seed,
        "started_at": _time(run.started_at),
        "finished_at": _time(run.finished_at),
        "device": run.device,
        "isolation": run.isolation,
        "environment": run.environment,
        "coverage": run.coverage,
        "cost": run.cost,
        "warnings": run.warnings,
        "metrics": [
            {
                "name": m.name,
                "title": _metric_title(run.evaluation, m.name),
                "slice": m.slice,
                "value": m.value,
                "ci_low": m.ci_low,
                "ci_high": m.ci_high,
                "interval_method": m.interval_method,
                "n": m.n,
                "unit": m.unit,
                "direction": m.direction,
                "status": m.status,
                "reason": m.reason,
            }
            for m in run.metrics.order_by("pk")
        ],
        "charts": [_chart(a) for a in artifacts if a.kind == Artifact.Kind.CHART],
        "artifacts": [
            {"kind": a.kind, "name": a.name, "sha256": a.sha256, "size": a.size} for a in artifacts
        ],
    }


def _chart(artifact: Artifact) -> dict[str, Any]:
    stored = json.loads(store.get(artifact.sha256))
    return {
        "name": artifact.name,
        "title": stored["title"],
        "alt": stored["alt"],
        "columns": stored["columns"],
        "rows": stored["rows"],
        "sha256": artifact.sha256,
        "svg_sha256": None,  # drawn when the card is issued, with the limits of its policy
    }


def _evaluation_title(name: str) -> str:
    try:
        return catalogue.get(name).title
    except EvaluationError:  # run by an installed package that is gone
        return name


def _metric_title(evaluation: str, name: str) -> str:
    try:
        return catalogue.metric(evaluation, name).title
    except EvaluationError:
        return name


def _time(time: datetime | None) -> str | None:
    return rfc3339(time) if time else None


# --- what the PDF shows beside the card ------------------------------------------------------


def charts_of(card: ReportCard) -> dict[tuple[str, str], dict[str, Any]]:
    """Chart JSON by (run, name), found by the digests that the card itself states."""
    content = json.loads(card.canonical)
    return {
        (run["id"], chart["name"]): json.loads(store.get(chart["sha256"]))
        for run in content["runs"]
        for chart in run["charts"]
    }


def examples_of(card: ReportCard) -> dict[str, list[dict[str, Any]]]:
    """Examples by run, found by the digests that the card itself states."""
    content = json.loads(card.canonical)
    return {
        run["id"]: json.loads(store.get(artifact["sha256"]))
        for run in content["runs"]
        for artifact in run["artifacts"]
        if artifact["kind"] == Artifact.Kind.EXAMPLES
    }
