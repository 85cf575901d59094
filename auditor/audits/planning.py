"""What an audit would run, what that would take, and why it may not start. Nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auditor.audits.budgets import Budget
from auditor.audits.facts import facts_of
from auditor.audits.history import History
from auditor.core.canonical import digest_of
from auditor.core.errors import DomainError, conflict
from auditor.policies.document import Facts, SuiteItem
from auditor.policies.models import PolicyVersion
from auditor.policies.pins import pins, seed_of
from auditor.policies.services import document
from auditor.registry import endpoints
from auditor.registry.egress import Reach, origin_text, reach
from auditor.registry.models import DatasetVersion, EndpointCredential, ModelVersion
from evaluations import catalogue
from evaluations.endpoints import EndpointSpec
from evaluations.forecasting import Forecast, forecast, of_judge, total
from evaluations.spec import Evaluation, EvaluationError, Modality, Params, Plan, Role


@dataclass(frozen=True)
class PlannedRun:
    """One evaluation that an audit will run and what it will take, or why it cannot."""

    item: str
    evaluation: str
    title: str
    version: str
    params: dict[str, object]
    refusal: str = ""
    takes: Forecast = field(default_factory=Forecast)


@dataclass(frozen=True)
class AuditPlan:
    """What an audit would do, known before it starts."""

    items: tuple[PlannedRun, ...]
    seed: int
    digest: str
    takes: Forecast
    currency: str  # of the endpoint's price; "" for models whose files are here
    warnings: tuple[str, ...] = ()
    asked: tuple[ModelVersion, ...] = ()  # the model, and where a run needs them its parent, judge, reference
    served: tuple[ModelVersion, ...] = ()  # those of them that are endpoints


def plan(
    *,
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
    policy_versions: Sequence[PolicyVersion],
    budget: Budget | None = None,
    judge_version: ModelVersion | None = None,
    reference_version: ModelVersion | None = None,
) -> AuditPlan:
    """The runs that the policies demand of this model on these data; what several demand is run once.

    Raises `egress_forbidden` where the model is served by somebody who may not be shown the data.
    """
    if not policy_versions:
        raise DomainError("policy_required", "Name at least one policy, for example release-gate.")
    facts = facts_of(model_version, dataset_version)
    spec = endpoints.spec_of(model_version)
    if spec is not None and (forbidden := _forbidden(dataset_version, model_version, spec)):
        raise DomainError("egress_forbidden", forbidden)
    if judge_version is not None and judge_version.digest == model_version.digest:
        raise DomainError(
            "judge_is_model", "A model cannot judge its own answers. Choose another model as the judge."
        )
    if reference_version is not None and reference_version.digest == model_version.digest:
        raise DomainError(
            "reference_is_model",
            "A model cannot be its own reference. Name one that was not trained on the data.",
        )
    history = History(dataset_version)
    planned: dict[str, PlannedRun] = {}
    for version in policy_versions:
        for entry in document(version).suite:
            if not entry.applies_when.holds(facts):
                continue
            run = _planned(
                entry, model_version, dataset_version, facts, history, judge_version, reference_version
            )
            before = planned.get(entry.item)
            if before and (before.evaluation, before.params) != (run.evaluation, run.params):
                raise conflict(
                    "suite_conflict",
                    f"Two of the policies define the suite item {entry.item!r} differently. "
                    "Rename it in one of them, or audit under one policy at a time.",
                )
            planned[entry.item] = run
    demanded = [catalogue.get(p.evaluation).requires for p in planned.values()]
    if Role.TARGET not in facts.roles and all(Role.TARGET in requires.roles for requires in demanded):
        raise DomainError(
            "unusable_data",
            f"{dataset_version} has no column with the role `target`, which everything that these policies demand "
            "needs. Register a version that names it.",
        )
    suite = [[p.item, p.evaluation, p.version, p.params] for p in planned.values()]
    pinned = {
        "model_digest": model_version.digest,
        "data_digest": dataset_version.digest,
        "roles": dataset_version.roles,
        "favourable_label": dataset_version.favourable_label,
        "suite": suite,
    }
    seed = seed_of(**pinned)
    everything = {**pins(**pinned), "policies": sorted(v.digest for v in policy_versions), "seed": seed}
    running = [p for p in planned.values() if not p.refusal]
    asked = [model_version]
    if (parent := model_version.parent) and any(catalogue.get(p.evaluation).requires.parent for p in running):
        everything["parent"] = parent.digest
        asked.append(parent)
    if judge_version and any(judge_for(p.evaluation, p.params, judge_version) for p in running):
        everything["judge"] = judge_version.digest
        asked.append(judge_version)
    if reference_version and any(wants_reference(p.evaluation) for p in running):
        everything["reference"] = reference_version.digest
        asked.append(reference_version)
    _check_budget(budget or Budget(), asked)
    takes = total([p.takes for p in running])
    served = [(version, spec) for version in asked if (spec := endpoints.spec_of(version))]
    _check_currency(served)
    unasked = [
        f"Nothing that these policies run here asks the {what} {version}: it is left out."
        for what, version in (("judge", judge_version), ("reference", reference_version))
        if version is not None and version not in asked
    ]
    return AuditPlan(
        items=tuple(planned.values()),
        seed=seed,
        digest=digest_of(everything),
        takes=takes,
        currency=next((spec.price.currency for _, spec in served), ""),
        warnings=(*unasked, *_warnings(served, takes, budget or Budget())),
        asked=tuple(asked),
        served=tuple(version for version, _ in served),
    )


def _check_currency(served: Sequence[tuple[ModelVersion, EndpointSpec]]) -> None:
    """Refuse prices in several currencies, of models that no single run would ask: one budget counts them all."""
    priced = {
        spec.price.currency: version
        for version, spec in served
        if spec.price.per_request or spec.price.input_per_million or spec.price.output_per_million
    }
    if len(priced) > 1:
        named = " and ".join(f"{version} in {currency}" for currency, version in priced.items())
        raise DomainError(
            "mixed_currencies",
            f"{named} are priced in different currencies: one budget cannot hold both. State the prices in one "
            "currency, or audit under one policy at a time.",
        )


def _check_budget(budget: Budget, asked: Sequence[ModelVersion]) -> None:
    """Refuse a budget that could not be kept: a service must state its price, or count its tokens."""
    for version in asked:
        spec = endpoints.spec_of(version)
        if spec is None:
            continue
        by_token = spec.price.input_per_million or spec.price.output_per_million
        priced = spec.price.per_request or (by_token and spec.protocol != "rest")  # which counts no tokens
        if budget.max_cost is not None and not priced:
            raise DomainError(
                "no_price",
                f"{version} states no price that could be counted, so that a budget of cost could not be kept. Push a "
                f"version whose {endpoints.FILE} has `price`, or give a budget of requests or tokens.",
            )
        if budget.max_tokens is not None and spec.protocol == "rest":
            raise DomainError(
                "no_tokens",
                f"{version} is a REST predictor and counts no tokens. Give a budget of requests or cost.",
            )


def _forbidden(data: DatasetVersion, version: ModelVersion, spec: EndpointSpec) -> str:
    """Why the rows may not go to where the model is served; "" where they may."""
    if reach(data.egress, spec.origin) is not Reach.NOWHERE:
        return ""
    where = origin_text(spec.origin)
    allowed = f"may be shown to {', '.join(data.egress)} alone" if data.egress else "may be shown to nobody"
    return (
        f"{version} is served at {where}, and the rows of {data} {allowed}. If their owner agrees, register them as a "
        f"version with --egress {where} (or same_network, or any)."
    )


def _planned(
    entry: SuiteItem,
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
    facts: Facts,
    history: History,
    judge_version: ModelVersion | None,
    reference_version: ModelVersion | None,
) -> PlannedRun:
    evaluation = catalogue.get(entry.evaluation)
    params = evaluation.Params.model_validate(entry.params)
    refusal = _refusal(evaluation, model_version, dataset_version, facts)
    judge = judge_for(evaluation.name, _stated(params), judge_version)
    if not refusal and wants_judge(evaluation.name, _stated(params)):
        refusal = _judge_refusal(evaluation, model_version, dataset_version, judge)
    reference = reference_version if wants_reference(evaluation.name) else None
    if not refusal and reference is not None:
        refusal = _reference_refusal(evaluation, model_version, dataset_version, reference)
    takes = Forecast()
    if not refusal:
        try:
            planned = evaluation.plan(dataset_version.rows, params)
            refusal = " ".join(planned.refusals)
            takes = _takes(evaluation, planned, params, model_version, history, judge, reference)
        except EvaluationError as error:
            refusal = error.message
    return PlannedRun(
        entry.item,
        evaluation.name,
        evaluation.title,
        evaluation.version,
        _stated(params),
        refusal,
        Forecast() if refusal else takes,
    )


def _stated(params: Params) -> dict[str, object]:
    return params.model_dump(mode="json")


def _refusal(
    evaluation: Evaluation, model_version: ModelVersion, dataset_version: DatasetVersion, facts: Facts
) -> str:
    requires = evaluation.requires
    if facts.modality not in requires.modalities:
        return f"{evaluation.name} does not support {facts.modality} models yet."
    if missing := [str(r) for r in requires.roles if r not in facts.roles]:
        return f"{evaluation.name} needs a column with the role {' and '.join(missing)}."
    if dataset_version.rows < requires.min_examples:
        return f"{evaluation.name} needs {requires.min_examples} rows; the data have {dataset_version.rows}."
    spoken = {tag.split("-")[0] for tag in dataset_version.languages}
    if requires.languages and spoken and not spoken & set(requires.languages):
        return f"{evaluation.name} knows {', '.join(requires.languages)} only."
    return _parent_refusal(evaluation, model_version, dataset_version) if requires.parent else ""


def _parent_refusal(
    evaluation: Evaluation, model_version: ModelVersion, dataset_version: DatasetVersion
) -> str:
    parent = model_version.parent
    if parent is None:
        return (
            f"{evaluation.name} compares a version with its parent, and {model_version} names none. "
            "Push it with --parent."
        )
    if parent.model.modality != model_version.model.modality:
        return f"{evaluation.name} compares like with like: the parent {parent} is a {parent.model.modality} model."
    return _refusal_beside(parent, model_version, dataset_version)


def wants_judge(evaluation: str, params: Mapping[str, object]) -> bool:
    """Whether another model judges the answers of such a run: not where a fixed rule does."""
    return catalogue.get(evaluation).requires.judge and params.get("rubric") is None


def judge_for(
    evaluation: str, params: Mapping[str, object], judge_version: ModelVersion | None
) -> ModelVersion | None:
    """The judge that such a run asks: none where it can do without, and this one is of a kind that cannot judge it."""
    if judge_version is None:
        return None
    kind = Modality(judge_version.model.modality)
    return judge_version if catalogue.get(evaluation).requires.takes_judge(kind, params) else None


def _judge_refusal(
    evaluation: Evaluation,
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
    judge: ModelVersion | None,
) -> str:
    requires = evaluation.requires
    if judge is None:
        if requires.judge_optional:
            return ""
        return f"{evaluation.name} needs a model that judges the answers. Name one with --judge."
    if judge.model.modality not in (*requires.modalities, *requires.judges):
        return f"{judge} is a {judge.model.modality} model, which cannot judge answers. Name another judge."
    return _refusal_beside(judge, model_version, dataset_version)


def wants_reference(evaluation: str) -> bool:
    """Whether a reference model, where one is named, is asked the same in such a run."""
    return catalogue.get(evaluation).requires.reference


def _reference_refusal(
    evaluation: Evaluation,
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
    reference: ModelVersion,
) -> str:
    if reference.model.modality != model_version.model.modality:
        return (
            f"{evaluation.name} compares like with like: the reference {reference} is a {reference.model.modality} "
            "model. Name another one with --reference, or none."
        )
    return _refusal_beside(reference, model_version, dataset_version)


def _refusal_beside(other: ModelVersion, model_version: ModelVersion, data: DatasetVersion) -> str:
    """Why another model may not be asked beside the audited one; "" where it may."""
    served, own = endpoints.spec_of(other), endpoints.spec_of(model_version)
    if served and own and served.price.currency != own.price.currency:
        return (
            f"{other} is priced in {served.price.currency} and {model_version} in {own.price.currency}: "
            "one budget cannot hold both. State the prices in one currency."
        )
    return _forbidden(data, other, served) if served else ""


def _takes(
    evaluation: Evaluation,
    planned: Plan,
    params: Params,
    model_version: ModelVersion,
    history: History,
    judge: ModelVersion | None,
    reference: ModelVersion | None,
) -> Forecast:
    """The run itself, what parent and reference answer to the same, and what the judge reads and says of each."""
    versions = [model_version]
    if evaluation.requires.parent and model_version.parent:
        versions.append(model_version.parent)
    versions += [other for other in (judge, reference) if other is not None]
    settings = getattr(params, "judge_settings", None)
    parts = []
    for version in versions:
        spec = endpoints.spec_of(version)
        known = history.known(version, evaluation.name, spec)
        asked = of_judge(planned, settings.max_new_tokens) if version == judge and settings else planned
        parts.append(forecast(asked, known, spec.price if spec else None))
    if len(parts) == 1:
        return parts[0]
    own = parts[0].smallest_detectable_effect
    both = total(parts)
    return Forecast(**{**vars(both), "smallest_detectable_effect": own})


def _warnings(
    served: Sequence[tuple[ModelVersion, EndpointSpec]], takes: Forecast, budget: Budget
) -> list[str]:
    if not served:
        return []
    found = []
    places = dict.fromkeys((version.model_id, origin_text(spec.origin)) for version, spec in served)
    for model_id, where in places:
        credential = EndpointCredential.objects.filter(model=model_id).first()
        if credential is None:
            found.append(f"No credential is stored for {where}: requests go without one.")
        elif credential.origin != where:
            found.append(
                f"The stored credential is for {credential.origin}, and will not be sent to {where}: no run can ask "
                "there until it is set for that address (auditor model credential)."
            )
    for name, needed, limit in (
        ("requests", takes.requests, budget.max_requests),
        ("tokens", takes.tokens, budget.max_tokens),
        ("cost", takes.cost, budget.max_cost),
    ):
        if limit is not None and needed is None:
            found.append(f"How much of the budget of {name} this takes cannot be told.")
        elif limit is not None and needed is not None and needed > limit:
            found.append(
                f"Up to {needed:,.6g} {name} may be needed (runs that ask the same share the answers), and the "
                f"budget is {limit:,.6g}: where it is reached, the audit stops. "
                "What was answered is kept, and an audit that supersedes it with a larger budget goes on from there."
            )
    return found
