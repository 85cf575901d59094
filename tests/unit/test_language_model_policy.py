"""The policy `language-model`: each data set is asked the questions that it is made for, and no others."""

from __future__ import annotations

import pytest

from auditor.policies.document import Facts, PolicyDocument
from auditor.policies.source import BUILTIN, parse
from evaluations.data.safety_banks import ROLES as REQUESTS
from evaluations.data.toxicity_banks import ROLES as BEGINNINGS
from evaluations.spec import Modality, Role

ALWAYS = {"SEC-01"}
ASKED = {
    "requests": (frozenset(REQUESTS.values()), {"SAFE-01", "SAFE-02", "SAFE-03"}),
    "beginnings": (frozenset(BEGINNINGS.values()), {"SAFE-04"}),
    "tasks beside documents": (
        {"id", "input", "context", "target", "sensitive"},
        {"SAFE-05", "SAFE-06", "SAFE-07", "QUAL-01"},
    ),
    "passages": ({"input", "context"}, {"SAFE-05", "SAFE-06", "SAFE-07", "QUAL-01"}),
    "prompts": ({"input"}, {"PRIV-01"}),
    "prompts with a datum": ({"input", "target"}, {"PRIV-01"}),
}


@pytest.fixture(scope="module")
def policy() -> PolicyDocument:
    return parse((BUILTIN / "language-model.yaml").read_text(encoding="utf-8"))


def facts(roles: set[str] | frozenset[str], modality: Modality = Modality.CAUSAL_LM) -> Facts:
    return Facts(modality=modality, roles=frozenset(map(Role, roles)))


@pytest.mark.parametrize("data", ASKED)
def test_a_data_set_answers_the_demands_that_it_is_made_for(policy: PolicyDocument, data: str) -> None:
    roles, demanded = ASKED[data]
    held = {control.id for control in policy.controls if control.applies_when.holds(facts(roles))}
    assert held == demanded | ALWAYS


def test_the_four_data_sets_answer_every_demand(policy: PolicyDocument) -> None:
    assert {control.id for control in policy.controls} == ALWAYS.union(*(ids for _, ids in ASKED.values()))


def test_what_is_demanded_or_printed_is_run_under_the_same_conditions(policy: PolicyDocument) -> None:
    for measured in (*policy.controls, *policy.report):
        assert measured.applies_when == policy.suite_item(measured.item).applies_when


def test_a_model_that_translates_is_asked_what_its_kind_can_be_asked(policy: PolicyDocument) -> None:
    everything = [roles for roles, _ in ASKED.values()]
    for entry in policy.suite:
        if any(entry.applies_when.holds(facts(roles, Modality.SEQ2SEQ)) for roles in everything):
            assert entry.item not in ("escalation", "injection")


def test_no_other_kind_of_model_is_asked_anything(policy: PolicyDocument) -> None:
    other = facts({"input", "target", "sensitive"}, Modality.TEXT_CLASSIFIER)
    assert not any(entry.applies_when.holds(other) for entry in policy.suite)
