"""An audit without a server: the policy's suite over one model and one data set, judged in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import auditor
from auditor.client.exits import ClientError
from auditor.core.canonical import digest_of
from auditor.core.errors import DomainError
from auditor.policies import rules
from auditor.policies.document import Facts, PolicyDocument
from auditor.policies.judging import SUCCEEDED, judged
from auditor.policies.pins import seed_of
from auditor.policies.source import BUILTIN, parse
from auditor.reports import control_facts
from auditor.reports.build import CardFacts, build
from evaluations import catalogue
from evaluations.forecasting import Forecast, total
from evaluations.spec import EvaluationResult, Failure, Metric, Role

if TYPE_CHECKING:
    from evaluations.spec import DataRef, ModelRef

NOTICE = (
    "A local run is no release evidence: it ran on this machine, without the sandbox, unsigned. "
    "Push the model and audit it to release it."
)


@dataclass(frozen=True)
class LocalMetric:
    """A metric as the judgement and the card want it."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    interval_method: str
    interval_level: float | None
    n: int
    status: str
    reason: str


def read_policy(named: str) -> PolicyDocument:
    """The policy in a file, or the built-in one of that name. Raises ClientError that says what is wrong."""
    path = Path(named)
    builtin = BUILTIN / f"{named}.yaml"
    if not path.is_file() and not builtin.is_file():
        known = ", ".join(sorted(p.stem for p in BUILTIN.glob("*.yaml")))
        raise ClientError(f"There is no policy file {named}, and no built-in policy of that name ({known}).")
    try:
        return parse((path if path.is_file() else builtin).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"The policy {named} cannot be read: {error}.") from error
    except DomainError as error:
        raise ClientError(error.message) from error


def facts_of(model: ModelRef, data: DataRef) -> Facts:
    """What the policy's conditions may ask, as the service knows it of a registered model."""
    return Facts(
        modality=model.modality,
        roles=frozenset(data.roles.values()),
        sensitive_columns=tuple(sorted(data.columns(Role.SENSITIVE))),
        parent=model.parent is not None,
        format=model.format,
    )


def suite_of(stated: PolicyDocument, facts: Facts) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """The evaluations that the policy demands here: item -> (name, version, every parameter)."""
    found = {}
    for entry in stated.suite:
        if entry.applies_when.holds(facts):
            evaluation = catalogue.get(entry.evaluation)
            params = evaluation.Params.model_validate(entry.params).model_dump(mode="json")
            found[entry.item] = (evaluation.name, evaluation.version, params)
    return found


def seed_for(model: ModelRef, data: DataRef, suite: Mapping[str, tuple[str, str, dict[str, Any]]]) -> int:
    """The seed that the service would give to this audit: there is none to shop for."""
    return seed_of(
        model_digest=model.digest,
        data_digest=data.digest,
        roles={column: str(role) for column, role in data.roles.items()},
        favourable_label=data.favourable_label or "",
        suite=[[item, *rest] for item, rest in suite.items()],
    )


def beside(
    suite: Mapping[str, tuple[str, str, dict[str, Any]]],
    judge: ModelRef | None,
    reference: ModelRef | None,
    attacker: ModelRef | None,
) -> dict[str, ModelRef]:
    """The other models that something of the suite asks, by what they are for."""
    needs = [(catalogue.get(name).requires, params) for name, _, params in suite.values()]
    asked = {
        "judge": judge if judge and any(r.takes_judge(judge.modality, p) for r, p in needs) else None,
        "reference": reference if any(r.reference for r, _ in needs) else None,
        "attacker": attacker if any(r.attacker for r, _ in needs) else None,
    }
    return {role: other for role, other in asked.items() if other is not None}


def card(
    *,
    stated: PolicyDocument,
    facts: Facts,
    model: ModelRef,
    data: DataRef,
    rows: int,
    seed: int,
    ended: Mapping[str, EvaluationResult | Failure],
    started: datetime,
    beside: Mapping[str, ModelRef],
) -> dict[str, Any]:
    """The same document as a report card of the service, marked as local: it has no ledger entry and no signature."""
    measured = {
        (item, metric.name, metric.slice): _metric(metric)
        for item, result in ended.items()
        if isinstance(result, EvaluationResult)
        for metric in result.metrics
    }
    how = {item: _status(result) for item, result in ended.items()}
    reasons = {item: result.message for item, result in ended.items() if isinstance(result, Failure)}
    controls, results = [], []
    for control, slice_, metric, found in judged(stated, facts, measured, how):
        controls.append(
            control_facts.control_facts(stated, control, slice_, metric, found, reasons.get(control.item, ""))
        )
        results.append(rules.Result(control.id, slice_, found.outcome, control.decides(found.outcome)))
    now = datetime.now(UTC).replace(microsecond=0)
    content = build(
        CardFacts(
            id="local",
            revision=0,
            issued_at=_time(now),
            valid_until=_time(now + timedelta(days=stated.valid_days)),
            verdict=rules.verdict(results).value,
            software={"name": "model-auditor", "version": auditor.__version__},
            model={
                "name": Path(model.path).name,
                "version": "local",
                "digest": model.digest,
                "format": model.format.value,
                "modality": model.modality.value,
            },
            data={"name": Path(data.path).name, "version": "local", "digest": data.digest, "rows": rows},
            policy={
                "name": stated.name,
                "title": stated.title,
                "number": 0,
                "digest": digest_of(stated.model_dump(mode="json", by_alias=True)),
            },
            audit={
                "id": "local",
                "seed": seed,
                "started_at": _time(started),
                "finished_at": _time(now),
                **{
                    role: {"model": Path(other.path).name, "digest": other.digest}
                    for role, other in beside.items()
                },
            },
            controls=controls,
            reported=_reported(stated, facts, measured, reasons),
            runs=[_run(item, result) for item, result in ended.items()],
        )
    )
    return {**content, "schema": "local-run/1", "notice": NOTICE}


def _reported(
    stated: PolicyDocument,
    facts: Facts,
    measured: Mapping[tuple[str, str, str], LocalMetric],
    reasons: Mapping[str, str],
) -> list[dict[str, Any]]:
    return [
        control_facts.reported_facts(
            stated,
            report,
            report.area,
            slice_,
            measured.get((report.item, report.metric, slice_)),
            reasons.get(report.item, "Its evaluation was not run."),
        )
        for report in stated.report
        if report.applies_when.holds(facts)
        for slice_ in report.slice_names(facts)
    ]


def _metric(metric: Metric) -> LocalMetric:
    interval = metric.interval
    return LocalMetric(
        value=metric.value,
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        interval_method=interval.method if interval else "",
        interval_level=interval.level if interval else None,
        n=metric.n,
        status=metric.status.value,
        reason=metric.reason,
    )


def _status(ended: EvaluationResult | Failure) -> str:
    if isinstance(ended, EvaluationResult):
        return SUCCEEDED
    return "skipped" if ended.skipped else "errored"


# rows of the data are for nobody's report, and a chart is told by its table
_UNSHOWN: dict[str, Any] = {"examples": True, "charts": {"__all__": {"spec"}}}


def _run(item: str, ended: EvaluationResult | Failure) -> dict[str, Any]:
    if isinstance(ended, Failure):
        return {"item": item, "status": _status(ended), "reason_code": ended.code, "reason": ended.message}
    return {
        "item": item,
        "status": SUCCEEDED,
        "isolation": {"level": "none"},
        **ended.model_dump(mode="json", by_alias=True, exclude=_UNSHOWN),
    }


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def plan(
    suite: Mapping[str, tuple[str, str, dict[str, Any]]],
    forecasts: Mapping[str, Forecast | Failure],
    seed: int,
) -> dict[str, Any]:
    """What would be run and what it would take, as the service says it of an audit."""
    items = []
    for item, (evaluation, version, _) in suite.items():
        found = forecasts[item]
        about: dict[str, Any] = {"item": item, "evaluation": evaluation, "version": version}
        if isinstance(found, Failure):
            items.append({**about, "refusal": found.message})
            continue
        effect = found.smallest_detectable_effect
        items.append({**about, "refusal": "", "takes": vars(found), "smallest_detectable_effect": effect})
    in_all = total([found for found in forecasts.values() if not isinstance(found, Failure)])
    return {"items": items, "takes": vars(in_all), "currency": "", "warnings": [], "seed": seed}


def progress_of(
    suite: Sequence[str], show: Callable[[dict[str, Any]], None]
) -> tuple[Callable[[str, Any], None], Callable[[str, str, str], None]]:
    """Two functions that tell a display of audits how far the runs are: one for progress, one for ends."""
    runs = {
        item: {"item": item, "status": "queued", "attempt": 1, "progress_done": 0, "progress_total": 0}
        for item in suite
    }

    def update() -> None:
        done = sum(run["status"] not in ("queued", "running") for run in runs.values())
        show(
            {
                "id": "local",
                "status": "completed" if done == len(runs) else "running",
                "runs": list(runs.values()),
                "progress": {
                    "done_runs": done,
                    "total_runs": len(runs),
                    "fraction": done / max(1, len(runs)),
                },
            }
        )

    def working(item: str, progress: Any) -> None:
        runs[item] |= {
            "status": "running",
            "progress_done": progress.done,
            "progress_total": progress.total,
        }
        update()

    def finished(item: str, status: str, reason: str) -> None:
        runs[item] |= {"status": status, "reason": reason}
        update()

    return working, finished
