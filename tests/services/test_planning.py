"""What an audit would take, told before it starts; and what may not start at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import IntegrityError
from django.utils import timezone
from pydantic import ValidationError

from auditor.accounts.models import Membership, Role, Team, User
from auditor.accounts.services import principal_of
from auditor.audits import budgets, services
from auditor.audits.budgets import Budget
from auditor.audits.models import Audit, EvaluationRun
from auditor.core.access import Principal
from auditor.core.errors import DomainError
from auditor.policies.models import PolicyVersion
from auditor.policies.services import publish
from auditor.registry.models import DatasetVersion, EndpointCredential, Model, ModelVersion
from evaluations import catalogue
from evaluations.endpoints import EndpointSpec, Price, RestMapping
from evaluations.forecasting import Known, forecast, total
from evaluations.spec import Cost, Plan
from tests.endpoints import put_endpoint

pytestmark = pytest.mark.django_db
HERE = "https://models.example.org"


@pytest.fixture(autouse=True)
def folders(tmp_path: Any, settings: LazySettings) -> None:
    settings.ARTIFACTS_DIR = tmp_path / "artifacts"


def spec(**more: Any) -> EndpointSpec:
    return EndpointSpec(protocol="rest", url=HERE + "/v1", rest=RestMapping(rows_per_request=32), **more)


@pytest.fixture
def served(team: Team, engineer: User) -> ModelVersion:
    return put_endpoint(
        team, engineer, spec(price=Price(per_request=0.01), requests_per_second=10), labels=("<=50K", ">50K")
    )


def with_egress(data: DatasetVersion, *egress: str) -> DatasetVersion:
    """The same data, as another version that says who may see them."""
    fields = {
        f.name: getattr(data, f.name) for f in DatasetVersion._meta.fields if f.name not in ("id", "version")
    }
    return DatasetVersion.objects.create(**{**fields, "version": "shown", "egress": list(egress)})


def plan_of(model: ModelVersion, data: DatasetVersion, policy: PolicyVersion, **more: Any) -> Any:
    return services.plan(model_version=model, dataset_version=data, policy_versions=[policy], **more)


# --- who may see the data ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "egress", [[], ["https://other.example"], [HERE + ":8443"], ["http://models.example.org"]]
)
def test_data_that_may_not_be_shown_to_the_service_are_refused_when_it_is_planned(
    as_engineer: Principal,
    served: ModelVersion,
    adult: DatasetVersion,
    release_gate: PolicyVersion,
    egress: list[str],
) -> None:
    data = with_egress(adult, *egress)
    for attempt in (
        lambda: plan_of(served, data, release_gate),
        lambda: services.submit(
            principal=as_engineer, model_version=served, dataset_version=data, policy_versions=[release_gate]
        ),
    ):
        with pytest.raises(DomainError) as refused:
            attempt()
        assert refused.value.code == "egress_forbidden"
        assert f"--egress {HERE}" in refused.value.message
    assert not Audit.objects.exists()


@pytest.mark.parametrize("egress", [HERE, "same_network", "any"])
def test_data_that_may_be_shown_are_planned(
    served: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion, egress: str
) -> None:
    assert plan_of(served, with_egress(adult, egress), release_gate).items


def test_a_model_whose_files_are_here_shows_the_data_to_nobody(
    income: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion
) -> None:
    found = plan_of(income, adult, release_gate)
    assert found.items
    assert (found.takes.requests, found.takes.cost, found.currency, found.warnings) == (0, 0.0, "", ())


# --- what it takes -------------------------------------------------------------------------------


def test_a_plan_tells_queries_requests_price_time_and_what_can_be_detected(
    served: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion
) -> None:
    """1,000 rows in requests of 32 at 10 a second and a cent each: 32 requests, 0.32, and at least 3.125 s a run."""
    found = plan_of(served, with_egress(adult, "any"), release_gate)
    for item in found.items:
        assert not item.refusal
        assert (item.takes.queries, item.takes.requests) == (1000, 32)
        assert item.takes.cost == pytest.approx(0.32)
        assert item.takes.seconds == pytest.approx(1000 / 320)
        assert item.takes.smallest_detectable_effect == pytest.approx(0.0443, abs=1e-4)
    runs = len(found.items)
    assert (found.takes.queries, found.takes.requests) == (1000 * runs, 32 * runs)
    assert found.takes.cost == pytest.approx(0.32 * runs)
    assert found.currency == "USD"


def test_earlier_runs_tell_how_fast_the_model_is(
    as_engineer: Principal, income: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion
) -> None:
    assert plan_of(income, adult, release_gate).takes.seconds is None  # nothing is known, nothing is stated
    services.submit(
        principal=as_engineer, model_version=income, dataset_version=adult, policy_versions=[release_gate]
    )
    EvaluationRun.objects.update(
        status="succeeded",
        finished_at=timezone.now(),
        cost={"queries": 500, "wall_seconds": 10.0, "tokens": 0},
    )
    for item in plan_of(income, adult, release_gate).items:
        assert item.takes.seconds == pytest.approx(20)


@pytest.mark.parametrize(
    "stated", [{"queries": 10**400}, {"tokens": 10**16}, {"wall_seconds": 1e300}, {"queries": -1}]
)
def test_no_child_can_state_a_cost_that_later_plans_stumble_over(
    stated: dict[str, Any],
    as_engineer: Principal,
    income: ModelVersion,
    adult: DatasetVersion,
    release_gate: PolicyVersion,
) -> None:
    with pytest.raises(ValidationError):
        Cost.model_validate_json(json.dumps(stated))
    most = {"queries": 10**15, "tokens": 10**15, "wall_seconds": 1e-9}
    services.submit(
        principal=as_engineer, model_version=income, dataset_version=adult, policy_versions=[release_gate]
    )
    EvaluationRun.objects.update(
        status="succeeded", finished_at=timezone.now(), cost=Cost.model_validate(most).model_dump()
    )
    assert plan_of(income, adult, release_gate).takes.seconds is not None


def test_tokens_are_told_from_earlier_runs_on_the_same_data_or_from_the_size_of_the_text() -> None:
    price = Price(input_per_million=2, output_per_million=8, per_request=0.001)
    found = forecast(
        Plan(shards=(), expected_queries=100, expected_output_tokens=3000),
        Known(tokens_per_query=50.5),
        price,
    )
    assert (found.requests, found.input_tokens, found.output_tokens, found.tokens) == (100, 5050, 3000, 8050)
    assert found.cost == pytest.approx(100 * 0.001 + 5050 * 2e-6 + 3000 * 8e-6)


def test_a_model_that_writes_nothing_generates_no_tokens() -> None:
    planned = Plan(shards=(), expected_queries=100, expected_output_tokens=3000)
    found = forecast(planned, Known(tokens_per_query=10, writes=False), Price(output_per_million=8))
    assert (found.input_tokens, found.output_tokens) == (1000, 0)


def test_what_is_not_known_is_not_stated() -> None:
    planned = Plan(shards=(), expected_queries=100)
    unknown = forecast(planned, Known(), Price(input_per_million=2))
    assert (unknown.input_tokens, unknown.cost, unknown.seconds, unknown.tokens) == (None, None, None, None)
    assert forecast(planned, Known(), Price()).cost is None  # no price is stated: not "free"
    assert forecast(planned, Known(), Price(per_request=1)).cost == 100
    known = forecast(planned, Known(tokens_per_query=1, queries_per_second=10), Price(input_per_million=2))
    both = total([known, unknown])
    assert (both.queries, both.requests, both.input_tokens, both.seconds, both.cost) == (
        200,
        200,
        None,
        None,
        None,
    )


# --- budgets -------------------------------------------------------------------------------------


def test_a_budget_that_is_too_small_is_said_beforehand(
    served: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion
) -> None:
    data = with_egress(adult, "any")
    assert not [
        w
        for w in plan_of(served, data, release_gate, budget=Budget(max_requests=1000)).warnings
        if "budget" in w
    ]
    (warning,) = [
        w
        for w in plan_of(served, data, release_gate, budget=Budget(max_requests=40)).warnings
        if "budget" in w
    ]
    assert "the budget is 40" in warning
    assert "supersedes" in warning


@pytest.mark.parametrize(
    ("price", "budget", "code"),
    [
        (Price(), Budget(max_cost=1.0), "no_price"),
        (Price(input_per_million=1), Budget(max_cost=1.0), "no_price"),  # a REST predictor counts no tokens
        (Price(per_request=1), Budget(max_tokens=1000), "no_tokens"),
    ],
)
def test_a_budget_that_could_not_be_kept_is_refused(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    adult: DatasetVersion,
    release_gate: PolicyVersion,
    price: Price,
    budget: Budget,
    code: str,
) -> None:
    model, data = put_endpoint(team, engineer, spec(price=price), name="other"), with_egress(adult, "any")
    for attempt in (
        lambda: plan_of(model, data, release_gate, budget=budget),
        lambda: services.submit(
            principal=as_engineer,
            model_version=model,
            dataset_version=data,
            policy_versions=[release_gate],
            budget=budget,
        ),
    ):
        with pytest.raises(DomainError) as refused:
            attempt()
        assert refused.value.code == code


@pytest.mark.parametrize(
    "budget",
    [Budget(max_requests=0), Budget(max_tokens=-1), Budget(max_cost=float("nan")), Budget(max_cost=1e16)],
)
def test_what_is_no_budget_is_refused(
    as_engineer: Principal,
    income: ModelVersion,
    adult: DatasetVersion,
    release_gate: PolicyVersion,
    budget: Budget,
) -> None:
    with pytest.raises(DomainError) as refused:
        services.submit(
            principal=as_engineer,
            model_version=income,
            dataset_version=adult,
            policy_versions=[release_gate],
            budget=budget,
        )
    assert refused.value.code == "invalid_input"


def test_a_budget_is_drawn_all_or_nothing_and_what_is_left_comes_back(
    as_engineer: Principal, income: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion
) -> None:
    audit = services.submit(
        principal=as_engineer,
        model_version=income,
        dataset_version=adult,
        policy_versions=[release_gate],
        budget=Budget(max_requests=10, max_cost=1.0),
    )
    assert budgets.is_limited(audit)
    assert budgets.draw(audit.pk, 6, 10**9, 0.5)  # tokens have no limit
    assert not budgets.draw(audit.pk, 5, 0, 0.1)
    assert not budgets.draw(audit.pk, 1, 0, 0.6)
    assert budgets.draw(audit.pk, 4, 0, 0.5)
    budgets.give_back(audit.pk, 3, 0, 0.25)
    assert budgets.draw(audit.pk, 3, 0, 0.25)
    assert not budgets.draw(audit.pk, 1, 0, 0.0)
    budgets.give_back(audit.pk, -2, 0, -0.5)  # overspent
    audit.refresh_from_db()
    assert (audit.drawn_requests, audit.drawn_cost) == (12, 1.5)


def test_a_credential_that_is_missing_or_for_another_address_is_said(
    served: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion, engineer: User
) -> None:
    data = with_egress(adult, "any")
    assert "without one" in " ".join(plan_of(served, data, release_gate).warnings)
    row = EndpointCredential.objects.create(
        model=served.model,
        origin="https://elsewhere.example",
        header="Authorization",
        sealed="",
        set_by=engineer,
        set_at=timezone.now(),
    )
    assert "elsewhere" in " ".join(plan_of(served, data, release_gate).warnings)
    row.origin = HERE
    row.save()
    assert plan_of(served, data, release_gate).warnings == ()


# --- comparisons with the parent -----------------------------------------------------------------


COMPARING = """
schema: policy/1
name: no-worse
title: No worse than before
valid_days: 30
suite:
  - {item: change, evaluation: quality.version_change}
controls:
  - id: QUAL-12
    title: Change of accuracy
    area: quality
    item: change
    metric: accuracy_change
    comparison: ">="
    limit: -0.01
    rationale: A test's own.
"""


@pytest.fixture
def comparing(db: None) -> PolicyVersion:
    return publish(principal=None, source=COMPARING)


def child_of(parent: ModelVersion | None, model: ModelVersion) -> ModelVersion:
    return ModelVersion.objects.create(
        model=model.model,
        version="2",
        digest="sha256:" + "d" * 64,
        format=model.format,
        files=model.files,
        size=model.size,
        parent=parent,
        submitted_by=model.submitted_by,
    )


def test_a_comparison_without_a_parent_is_refused_and_with_one_both_are_asked(
    income: ModelVersion, adult: DatasetVersion, comparing: PolicyVersion
) -> None:
    (alone,) = plan_of(income, adult, comparing).items
    assert "--parent" in alone.refusal
    assert alone.takes.queries == 0
    found = plan_of(child_of(income, income), adult, comparing)
    (compared,) = found.items
    assert not compared.refusal
    assert compared.takes.queries == 2000
    assert compared.takes.smallest_detectable_effect == pytest.approx(0.0443, abs=1e-4)


def test_the_parent_is_pinned_where_it_is_compared_with(
    income: ModelVersion, adult: DatasetVersion, comparing: PolicyVersion, release_gate: PolicyVersion
) -> None:
    other = ModelVersion.objects.create(
        model=income.model,
        version="0.9",
        digest="sha256:" + "e" * 64,
        format="skops",
        files=[],
        size=1,
        submitted_by=income.submitted_by,
    )
    first = child_of(income, income)
    plans = [plan_of(first, adult, policy) for policy in (comparing, release_gate)]
    first.parent = other  # as if it had been registered so
    again = [plan_of(first, adult, policy) for policy in (comparing, release_gate)]
    assert plans[0].digest != again[0].digest
    assert plans[1].digest == again[1].digest  # nothing is compared there


def test_the_parents_service_must_be_allowed_to_see_the_data_too(
    income: ModelVersion, adult: DatasetVersion, served: ModelVersion, comparing: PolicyVersion
) -> None:
    child = child_of(served, income)
    (refused,) = plan_of(child, adult, comparing).items
    assert f"--egress {HERE}" in refused.refusal
    (allowed,) = plan_of(child, with_egress(adult, HERE), comparing).items
    assert not allowed.refusal
    assert allowed.takes.requests == 32  # the parent's alone
    assert allowed.takes.cost == pytest.approx(0.32)


# --- a judge -------------------------------------------------------------------------------------

JUDGED = COMPARING.replace("no-worse", "judged").replace("quality.version_change", "quality.judge")
JUDGED = JUDGED.replace("accuracy_change", "judged_rate")
TOXICITY = JUDGED.replace("name: judged", "name: toxicity").replace("quality.judge", "safety.toxicity")
TOXICITY = TOXICITY.replace("judged_rate", "toxicity_rate").replace(">=", "<=")
GENERATION = TOXICITY.replace("toxicity_rate", "attack_success_rate").replace("toxicity", "generation")
BY_RULE = JUDGED.replace("name: judged", "name: by-rule").replace(
    "evaluation: quality.judge}",
    "evaluation: quality.judge, params: {rubric: {kind: contains, phrases: [good]}}}",
)


def writer(team: Team, engineer: User, name: str, **more: Any) -> ModelVersion:
    served = EndpointSpec(
        protocol="openai_chat", url=HERE + "/v1", model=name, price=Price(per_request=1, **more)
    )
    return put_endpoint(team, engineer, served, name=name, modality="causal_lm")


def local_writer(team: Team, engineer: User) -> ModelVersion:
    return ModelVersion.objects.create(
        model=Model.objects.create(name="local", team=team, owner=engineer, modality="causal_lm"),
        version="1",
        digest="sha256:" + "c" * 64,
        format="safetensors",
        files=[],
        size=1,
        submitted_by=engineer,
    )


def test_a_judge_is_named_is_another_model_and_is_pinned(
    as_engineer: Principal, team: Team, engineer: User, adult: DatasetVersion
) -> None:
    policy, data = publish(principal=None, source=JUDGED), with_egress(adult, HERE)
    model, judge, other = (writer(team, engineer, name) for name in ("writer", "judge", "other"))
    (alone,) = plan_of(model, data, policy).items
    assert "--judge" in alone.refusal
    with pytest.raises(DomainError) as refused:
        plan_of(model, data, policy, judge_version=model)
    assert refused.value.code == "judge_is_model"
    plans = [plan_of(model, data, policy, judge_version=each) for each in (judge, other)]
    assert plans[0].seed == plans[1].seed
    assert plans[0].digest != plans[1].digest
    assert (plans[0].takes.queries, plans[0].takes.cost) == (2000, 2000.0)  # the model, and its judge
    audit = services.submit(
        principal=as_engineer,
        model_version=model,
        dataset_version=data,
        policy_versions=[policy],
        judge_version=judge,
    )
    assert (audit.digest, audit.judge_version) == (plans[0].digest, judge)


def test_a_judge_may_be_left_out_where_words_are_read_without_one(
    team: Team, engineer: User, adult: DatasetVersion
) -> None:
    source = JUDGED.replace("name: judged", "name: safe").replace("quality.judge", "safety.generation")
    source = source.replace("metric: judged_rate", "metric: refusal_rate")
    policy, data = publish(principal=None, source=source), with_egress(adult, HERE)
    model, judge = writer(team, engineer, "writer"), writer(team, engineer, "judge")
    alone, both = (plan_of(model, data, policy, judge_version=each) for each in (None, judge))
    assert (alone.items[0].refusal, both.items[0].refusal) == ("", "")
    assert both.takes.queries == 2 * alone.takes.queries
    assert alone.digest != both.digest


def test_a_judge_is_forecast_to_read_each_answer_once_and_to_write_a_word(
    team: Team, engineer: User, adult: DatasetVersion
) -> None:
    """Of five answers to a question, quality.hallucination shows the judge the first."""
    source = JUDGED.replace("name: judged", "name: grounded").replace(
        "quality.judge", "quality.hallucination"
    )
    source = source.replace("metric: judged_rate", "metric: knowledge_precision")
    policy, data = publish(principal=None, source=source), with_egress(adult, HERE)
    model, judge = writer(team, engineer, "writer"), writer(team, engineer, "judge")
    alone, both = (plan_of(model, data, policy, judge_version=each).takes for each in (None, judge))
    assert alone.queries == 5 * 1000
    assert both.queries == 6 * 1000
    assert both.output_tokens - alone.output_tokens == 1000 * 16


@pytest.mark.parametrize("role", [Role.REGULATOR, Role.ENGINEER])
def test_a_judge_of_another_team_is_asked_only_for_those_who_may_spend_there(
    role: Role, team: Team, engineer: User, stranger: User, adult: DatasetVersion
) -> None:
    """Reading in a team is not leave to use its credential, and to spend its money."""
    policy, data = publish(principal=None, source=JUDGED), with_egress(adult, HERE)
    theirs = Team.objects.get(name="Elsewhere")
    Membership.objects.create(user=engineer, team=theirs, role=role)
    model, judge = writer(team, engineer, "writer"), writer(theirs, stranger, "judge")

    def submitted() -> Audit:
        return services.submit(
            principal=principal_of(engineer),
            model_version=model,
            dataset_version=data,
            policy_versions=[policy],
            judge_version=judge,
        )

    if role == Role.ENGINEER:
        assert submitted().judge_version == judge
        return
    with pytest.raises(DomainError) as refused:
        submitted()
    assert refused.value.status == 403
    assert "Elsewhere" in refused.value.message
    assert not Audit.objects.exists()


def test_what_is_to_be_known_of_a_served_judge_is_said_of_a_model_whose_files_are_here(
    team: Team, engineer: User, adult: DatasetVersion
) -> None:
    policy, data = publish(principal=None, source=JUDGED), with_egress(adult, HERE)
    here = local_writer(team, engineer)
    found = plan_of(
        here, data, policy, judge_version=writer(team, engineer, "judge"), budget=Budget(max_requests=10)
    )
    assert found.currency == "USD"
    assert "No credential" in found.warnings[0]
    assert "budget is 10" in found.warnings[1]


def test_a_judge_that_cannot_be_asked_is_refused_with_the_reason(
    team: Team, engineer: User, adult: DatasetVersion, income: ModelVersion
) -> None:
    policy, data = publish(principal=None, source=JUDGED), with_egress(adult, HERE)
    model = writer(team, engineer, "writer")
    elsewhere = EndpointSpec(protocol="openai_chat", url="https://elsewhere.example/v1", model="judge")
    for judge, word in (
        (income, "cannot judge"),
        (writer(team, engineer, "dear", currency="EUR"), "one budget"),
        (put_endpoint(team, engineer, elsewhere, name="away", modality="causal_lm"), "--egress"),
    ):
        (item,) = plan_of(model, data, policy, judge_version=judge).items
        assert word in item.refusal


def test_a_classifier_judges_where_one_can_and_is_left_out_where_a_detector_reads_on(
    team: Team, engineer: User, adult: DatasetVersion
) -> None:
    data = with_egress(adult, HERE)
    model = writer(team, engineer, "writer")
    classifier = put_endpoint(
        team, engineer, spec(), name="toxic", modality="text_classifier", labels=("kind", "toxic")
    )
    toxicity = publish(principal=None, source=TOXICITY)
    generation = publish(principal=None, source=GENERATION)
    for policy, judge, asked in (
        (toxicity, classifier, True),
        (toxicity, None, False),
        (generation, classifier, False),
        (generation, None, False),
    ):
        found = plan_of(model, data, policy, judge_version=judge)
        (item,) = found.items
        assert not item.refusal
        assert found.served == (model, *([classifier] if asked else []))
        assert any("left out" in said for said in found.warnings) is (judge is not None and not asked)


def test_a_fixed_rule_needs_no_judge(team: Team, engineer: User, adult: DatasetVersion) -> None:
    policy = publish(principal=None, source=BY_RULE)
    model, judge = (writer(team, engineer, name) for name in ("writer", "judge"))
    data = with_egress(adult, HERE)
    for named in (None, judge):
        found = plan_of(model, data, policy, judge_version=named)
        (item,) = found.items
        assert not item.refusal
        assert item.takes.queries == 1000


# --- a reference model ---------------------------------------------------------------------------


@pytest.fixture
def with_reference(monkeypatch: pytest.MonkeyPatch) -> PolicyVersion:
    """A policy whose one evaluation compares with a reference model, where one is named."""
    evaluation = type(catalogue.get("quality.perplexity"))
    needs = evaluation.requires.model_copy(update={"reference": True})
    monkeypatch.setattr(evaluation, "requires", needs)
    source = COMPARING.replace("no-worse", "with-reference").replace(
        "quality.version_change", evaluation.name
    )
    return publish(principal=None, source=source.replace("accuracy_change", evaluation.metrics[0].name))


def continuing(team: Team, engineer: User, name: str, **more: Any) -> ModelVersion:
    served = EndpointSpec(
        protocol="openai_completions",
        url=HERE + "/v1",
        model=name,
        logprobs=True,
        price=Price(per_request=1, **more),
    )
    return put_endpoint(team, engineer, served, name=name, modality="causal_lm")


def test_a_reference_may_be_named_is_another_model_and_is_pinned(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    adult: DatasetVersion,
    with_reference: PolicyVersion,
) -> None:
    data = with_egress(adult, HERE)
    model, reference, other = (continuing(team, engineer, name) for name in ("model", "reference", "other"))
    without = plan_of(model, data, with_reference)
    assert [item.refusal for item in without.items] == [""]
    with pytest.raises(DomainError) as refused:
        plan_of(model, data, with_reference, reference_version=model)
    assert refused.value.code == "reference_is_model"
    plans = [plan_of(model, data, with_reference, reference_version=each) for each in (reference, other)]
    assert plans[0].seed == plans[1].seed == without.seed
    assert len({plan.digest for plan in (without, *plans)}) == 3
    assert plans[0].takes.queries == 2 * without.takes.queries  # the model, and its reference
    assert [str(version) for version in plans[0].served] == [str(model), str(reference)]
    audit = services.submit(
        principal=as_engineer,
        model_version=model,
        dataset_version=data,
        policy_versions=[with_reference],
        reference_version=reference,
    )
    assert (audit.digest, audit.reference_version) == (plans[0].digest, reference)
    with pytest.raises(IntegrityError, match="append-only"):
        Audit.objects.filter(pk=audit.pk).update(reference_version=None)


def test_what_compares_with_no_reference_does_not_pin_one_and_says_so(
    as_engineer: Principal, adult: DatasetVersion, income: ModelVersion, release_gate: PolicyVersion
) -> None:
    """A card must not name as asked a model that no run asked: the digest of the audit would not hold it."""
    other = child_of(None, income)
    plans = [plan_of(income, adult, release_gate, reference_version=each) for each in (None, other)]
    assert plans[0].digest == plans[1].digest
    assert plans[0].items == plans[1].items
    (said,) = set(plans[1].warnings) - set(plans[0].warnings)
    assert str(other) in said
    audit = services.submit(
        principal=as_engineer,
        model_version=income,
        dataset_version=adult,
        policy_versions=[release_gate],
        judge_version=other,
        reference_version=other,
    )
    assert (audit.judge_version, audit.reference_version) == (None, None)


def test_models_that_are_priced_in_several_currencies_are_not_asked_under_one_budget(
    team: Team, engineer: User, adult: DatasetVersion, with_reference: PolicyVersion
) -> None:
    """Not even where the audited model costs nothing, so that each fits it."""
    data = with_egress(adult, HERE)
    model = local_writer(team, engineer)
    judge, reference = (
        continuing(team, engineer, name, currency=currency)
        for name, currency in (("judge", "USD"), ("reference", "EUR"))
    )
    judged = publish(principal=None, source=JUDGED.replace("item: change", "item: judged"))
    policies = [judged, with_reference]
    for one in policies:
        (item,) = plan_of(model, data, one, judge_version=judge, reference_version=reference).items
        assert not item.refusal
    with pytest.raises(DomainError) as refused:
        services.plan(
            model_version=model,
            dataset_version=data,
            policy_versions=policies,
            judge_version=judge,
            reference_version=reference,
        )
    assert refused.value.code == "mixed_currencies"


@pytest.mark.parametrize("role", [Role.REGULATOR, Role.ENGINEER, None])
def test_a_reference_of_another_team_is_asked_only_for_those_who_may_spend_there(
    role: Role | None,
    team: Team,
    engineer: User,
    stranger: User,
    adult: DatasetVersion,
    with_reference: PolicyVersion,
) -> None:
    data, theirs = with_egress(adult, HERE), Team.objects.get(name="Elsewhere")
    if role is not None:
        Membership.objects.create(user=engineer, team=theirs, role=role)
    model, reference = continuing(team, engineer, "model"), continuing(theirs, stranger, "reference")

    def submitted() -> Audit:
        return services.submit(
            principal=principal_of(engineer),
            model_version=model,
            dataset_version=data,
            policy_versions=[with_reference],
            reference_version=reference,
        )

    if role == Role.ENGINEER:
        assert submitted().reference_version == reference
        return
    with pytest.raises(DomainError) as refused:
        submitted()
    assert refused.value.status == (404 if role is None else 403)
    assert not Audit.objects.exists()


def test_a_reference_that_cannot_be_asked_is_refused_with_the_reason(
    team: Team,
    engineer: User,
    adult: DatasetVersion,
    income: ModelVersion,
    with_reference: PolicyVersion,
) -> None:
    data, model = with_egress(adult, HERE), continuing(team, engineer, "model")
    elsewhere = EndpointSpec(protocol="openai_completions", url="https://elsewhere.example/v1", model="m")
    for reference, word in (
        (income, "like with like"),
        (continuing(team, engineer, "dear", currency="EUR"), "one budget"),
        (put_endpoint(team, engineer, elsewhere, name="away", modality="causal_lm"), "--egress"),
    ):
        (item,) = plan_of(model, data, with_reference, reference_version=reference).items
        assert word in item.refusal
