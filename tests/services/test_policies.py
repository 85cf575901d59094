"""Publishing policies, and what a policy text may not say."""

from __future__ import annotations

import pytest
import yaml

from auditor.accounts.models import Team
from auditor.core.access import Principal
from auditor.core.errors import DomainError
from auditor.policies.models import PolicyVersion
from auditor.policies.services import ensure_builtin, publish, resolve
from auditor.policies.source import BUILTIN, parse

SOURCE = (BUILTIN / "release-gate.yaml").read_text(encoding="utf-8")


def changed(**controls: object) -> str:
    document = yaml.safe_load(SOURCE)
    document["name"] = "ours"
    document["controls"][0].update(controls)
    return yaml.safe_dump(document)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"metric": "balanced_acuracy"}, "Did you mean balanced_accuracy?"),
        ({"item": "classifier"}, "there is no suite item 'classifier'"),
        ({"limt": 3}, "Extra inputs are not permitted"),
        ({"limit": float("nan")}, "finite number"),
        ({"slices": "each_sensitive_column"}, "needs `slices: all`"),
        ({"id": "QUAL-02"}, "control QUAL-02 is defined twice"),
    ],
)
def test_a_mistake_in_a_control_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(DomainError) as refused:
        parse(changed(**change))
    assert refused.value.code == "invalid_policy"
    assert any(says in problem.detail for problem in refused.value.errors)


def test_an_unknown_evaluation_is_named() -> None:
    with pytest.raises(DomainError, match=r"quality\.clasification"):
        parse(SOURCE.replace("quality.classification", "quality.clasification"))


def test_a_parameter_that_an_evaluation_does_not_have_is_named() -> None:
    with pytest.raises(DomainError, match="sampels"):
        parse(SOURCE.replace("{examples: 100}", "{sampels: 100}"))


@pytest.mark.parametrize(
    "text",
    ["", "- a\n- b\n", "schema: policy/1\nname: [", "a: &x 1\nb: *x\n", "!!python/object:os.system {}"],
)
def test_what_is_no_policy_is_refused_with_a_message(text: str) -> None:
    with pytest.raises(DomainError) as refused:
        parse(text)
    assert refused.value.code == "invalid_policy"


@pytest.mark.django_db
def test_the_same_document_published_again_is_the_same_version() -> None:
    first, second = ensure_builtin(), ensure_builtin()
    assert [v.pk for v in first] == [v.pk for v in second]


@pytest.mark.django_db
def test_a_change_makes_the_next_version_and_keeps_the_first(as_reviewer: Principal, team: Team) -> None:
    first = publish(principal=as_reviewer, source=changed(), team=team)
    second = publish(principal=as_reviewer, source=changed(limit=0.9), team=team)
    assert (first.number, second.number) == (1, 2)
    assert PolicyVersion.objects.get(pk=first.pk).document["controls"][0]["limit"] == 0.8
    assert resolve(as_reviewer, "ours").pk == second.pk
    assert resolve(as_reviewer, "ours@1").pk == first.pk


@pytest.mark.django_db
def test_an_engineer_cannot_set_the_bar(as_engineer: Principal, team: Team) -> None:
    with pytest.raises(DomainError) as refused:
        publish(principal=as_engineer, source=changed(), team=team)
    assert refused.value.status == 403


@pytest.mark.django_db
def test_another_teams_policy_is_not_there(
    as_reviewer: Principal, as_stranger: Principal, team: Team
) -> None:
    publish(principal=as_reviewer, source=changed(), team=team)
    with pytest.raises(DomainError) as refused:
        resolve(as_stranger, "ours")
    assert refused.value.status == 404
