"""What an audit would run, what that would take, and why it may not start. Nothing is written here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from auditor.audits.budgets import Budget
from auditor.audits.facts import facts_of
from auditor.audits.models import EvaluationRun, RunStatus
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
from evaluations.forecasting import BYTES_PER_TOKEN, Forecast, Known, forecast, total
from evaluations.spec import Evaluation, EvaluationError, Modality, Params, Plan, Role

RECENT_RUNS = 200
READS_TEXT = frozenset(
    {
        Modality.TEXT_CLASSIFIER,
        Modality.TOKEN_CLASSIFIER,
        Modality.MASKED_LM,
        Modality.CAUSAL_LM,
        Modality.SEQ2SEQ,
        Modality.EXTRACTIVE_QA,
    }
)


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
    currency: str  # of the endpoint's price; "" for a model whose files are here
    warnings: tuple[str, ...] = ()


def plan(
    *,
    model_version: ModelVersion,
    dataset_version: DatasetVersion,
    policy_versions: Sequence[PolicyVersion],
    budget: Budget | None = None,
) -> AuditPlan:
    """The runs that the policies demand of this model on these data; what several demand is run once.

    Raises `egress_forbidden` where the model is served by somebody who may not be shown the data.
    """
    if not policy_versions:
        raise DomainError("policy_required", "Name at least one policy, for example release-gate.")
    facts = facts_of(model_version, dataset_version)
    if Role.TARGET not in facts.roles:
        raise DomainError(
            "unusable_data",
            f"{dataset_version} has no column with the role `target`. Register a version that names it.",
        )
    spec = endpoints.spec_of(model_version)
    if spec is not None and (forbidden := _forbidden(dataset_version, model_version, spec)):
        raise DomainError("egress_forbidden", forbidden)
    history = _History(dataset_version)
    planned: dict[str, PlannedRun] = {}
    for version in policy_versions:
        for entry in document(version).suite:
            if not entry.applies_when.holds(facts):
                continue
            run = _planned(entry, model_version, dataset_version, facts, history)
            before = planned.get(entry.item)
            if before and (before.evaluation, before.params) != (run.evaluation, run.params):
                raise conflict(
                    "suite_conflict",
                    f"Two of the policies define the suite item {entry.item!r} differently. "
                    "Rename it in one of them, or audit under one policy at a time.",
                )
            planned[entry.item] = run
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
    if any(catalogue.get(p.evaluation).requires.parent and not p.refusal for p in planned.values()):
        everything["parent"] = model_version.parent.digest if model_version.parent else ""
    takes = total([p.takes for p in planned.values() if not p.refusal])
    return AuditPlan(
        items=tuple(planned.values()),
        seed=seed,
        digest=digest_of(everything),
        takes=takes,
        currency=spec.price.currency if spec else "",
        warnings=tuple(_warnings(model_version, spec, takes, budget or Budget())),
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
    history: _History,
) -> PlannedRun:
    evaluation = catalogue.get(entry.evaluation)
    params = evaluation.Params.model_validate(entry.params)
    refusal = _refusal(evaluation, model_version, dataset_version, facts)
    takes = Forecast()
    if not refusal:
        try:
            planned = evaluation.plan(dataset_version.rows, params)
            refusal = " ".join(planned.refusals)
            takes = _takes(evaluation, planned, model_version, history)
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
    served, own = endpoints.spec_of(parent), endpoints.spec_of(model_version)
    if served and own and served.price.currency != own.price.currency:
        return (
            f"The parent {parent} is priced in {served.price.currency} and {model_version} in {own.price.currency}: "
            "one budget cannot hold both. State the prices in one currency."
        )
    return _forbidden(dataset_version, parent, served) if served else ""


def _takes(evaluation: Evaluation, planned: Plan, model_version: ModelVersion, history: _History) -> Forecast:
    """The run itself, and the parent's answers to the same questions where it compares with them."""
    versions = [model_version]
    if evaluation.requires.parent and model_version.parent:
        versions.append(model_version.parent)
    parts = []
    for version in versions:
        spec = endpoints.spec_of(version)
        known = history.known(version, evaluation.name, spec)
        parts.append(forecast(planned, known, spec.price if spec else None))
    if len(parts) == 1:
        return parts[0]
    own = parts[0].smallest_detectable_effect
    both = total(parts)
    return Forecast(**{**vars(both), "smallest_detectable_effect": own})


class _History:
    """What earlier runs tell of how fast models answer, and of how long the rows of these data are."""

    def __init__(self, dataset_version: DatasetVersion) -> None:
        self._data = dataset_version
        self._runs: dict[str, list[tuple[str, str, dict[str, float]]]] = {}

    def known(self, version: ModelVersion, evaluation: str, spec: EndpointSpec | None) -> Known:
        return Known(
            tokens_per_query=self._tokens(version),
            queries_per_second=self._rate(version, evaluation, spec),
            rows_per_request=spec.rest.rows_per_request if spec and spec.rest else 1,
        )

    def _of(self, version: ModelVersion) -> list[tuple[str, str, dict[str, float]]]:
        """(evaluation, data digest, cost) of the latest runs of this model that ended well."""
        if version.digest not in self._runs:
            rows = EvaluationRun.objects.filter(
                status=RunStatus.SUCCEEDED, audit__model_version__digest=version.digest
            )
            self._runs[version.digest] = list(
                rows.order_by("-finished_at").values_list(
                    "evaluation", "audit__dataset_version__digest", "cost"
                )[:RECENT_RUNS]
            )
        return self._runs[version.digest]

    def _rate(self, version: ModelVersion, evaluation: str, spec: EndpointSpec | None) -> float | None:
        queries = seconds = 0.0
        for name, _, cost in self._of(version):
            if name == evaluation and cost.get("queries"):
                queries += cost["queries"]
                seconds += cost.get("wall_seconds", 0.0)
        if seconds:
            return queries / seconds
        rows = spec.rest.rows_per_request if spec and spec.rest else 1
        return spec.requests_per_second * rows if spec and spec.requests_per_second else None

    def _tokens(self, version: ModelVersion) -> float | None:
        queries = tokens = 0.0
        for _, data, cost in self._of(version):
            if data == self._data.digest and cost.get("queries") and cost.get("tokens"):
                queries += cost["queries"]
                tokens += cost["tokens"]
        if queries:
            return tokens / queries
        if version.model.modality not in READS_TEXT:
            return 0.0
        if self._data.format not in ("csv", "jsonl"):  # packed: its size says little
            return None
        return self._data.size / self._data.rows / BYTES_PER_TOKEN


def _warnings(version: ModelVersion, spec: EndpointSpec | None, takes: Forecast, budget: Budget) -> list[str]:
    if spec is None:
        return []
    found = []
    where = origin_text(spec.origin)
    credential = EndpointCredential.objects.filter(model=version.model_id).first()
    if credential is None:
        found.append(f"No credential is stored for {where}: requests go without one.")
    elif credential.origin != where:
        found.append(f"The stored credential is for {credential.origin}, and will not be sent to {where}.")
    for name, needed, limit in (
        ("requests", takes.requests, budget.max_requests),
        ("tokens", takes.tokens, budget.max_tokens),
        ("cost", takes.cost, budget.max_cost),
    ):
        if limit is not None and needed is None:
            found.append(f"How much of the budget of {name} this takes cannot be told.")
        elif limit is not None and needed is not None and needed > limit:
            found.append(
                f"About {needed:,.6g} {name} are needed, and the budget is {limit:,.6g}: the audit would stop there. "
                "What was answered is kept, and an audit that supersedes it with a larger budget goes on from there."
            )
    return found
