"""What is confounded, or not refuted, is said so in words on page and PDF, and never looks passed."""

from __future__ import annotations

import io
from collections.abc import Callable

import pypdf
import pytest
from django.test import Client
from django.utils import translation

from auditor.accounts.models import Team, User
from auditor.core.errors import DomainError
from auditor.policies.services import publish
from auditor.registry.models import Dataset, DatasetVersion
from auditor.reports import sentences
from auditor.reports import services as reports
from auditor.reports.models import ReportCard
from auditor.web import chart_words, slice_words, words
from evaluations.privacy import membership, pii_leakage
from evaluations.safety import injection_texts, ladders, strategies
from evaluations.spec import Interval, Metric, MetricStatus
from tests import factories
from tests.web.reading import text_of

Browse = Callable[[User], Client]

POLICY = """
schema: policy/1
name: private
title: Keeps secrets
suite:
  - {item: coins, evaluation: privacy.dp_audit, params: {claimed_epsilon: 1.0}}
  - {item: members, evaluation: privacy.membership}
controls:
  - {id: PRIV-01, title: Claim stands, area: privacy, item: coins, metric: refuted, comparison: "<=", limit: 0}
  - {id: PRIV-02, title: Members hidden, area: privacy, item: members, metric: auc, comparison: "<=", limit: 0.6}
report:
  - {item: members, metric: accuracy_gap, area: privacy}
"""
ROLES = {"age": "input", "income": "target", "seen": "member", "coin": "randomised_inclusion"}
WHY = "Members and non-members differ by themselves: a classifier tells them apart."


def coins(refuted: bool) -> factories.Found:
    interval = Interval(low=float(refuted), high=1.0, method="one_run_audit", sides=1)
    return factories.Found(
        (
            Metric(name="refuted", value=float(refuted), interval=interval, n=1000),
            Metric(name="epsilon_lower_bound", value=0.4, n=1000),
        )
    )


def confounded(name: str, slice_: str = "all") -> Metric:
    return Metric(name=name, value=None, n=2000, slice=slice_, status=MetricStatus.CONFOUNDED, reason=WHY)


MEMBERS = factories.Found(
    (confounded("auc"), confounded("accuracy_gap"), confounded("attack_auc", "attack=loss"))
)


@pytest.fixture
def card_of(team: Team, engineer: User) -> Callable[[bool], ReportCard]:
    """The card of a model whose members differ by themselves, and whose canaries refute the claim or do not."""

    def made(refuted: bool) -> ReportCard:
        data = DatasetVersion.objects.create(
            dataset=Dataset.objects.create(name="canaries", team=team),
            version="1",
            digest="sha256:" + "c" * 64,
            format="csv",
            size=10,
            rows=1000,
            roles=ROLES,
            submitted_by=engineer,
        )
        policy = publish(principal=None, source=POLICY)
        version = factories.a_version(factories.a_model(team, engineer, "income"))
        return factories.audited(version, data, [policy], {"coins": coins(refuted), "members": MEMBERS})[0]

    return made


def printed(card: ReportCard) -> str:
    document = pypdf.PdfReader(io.BytesIO(reports.pdf(card)))
    text = " ".join(page.extract_text() for page in document.pages)
    return " ".join(text.replace("\u200b", "").replace("\u00ad", "").split())


def test_what_is_confounded_says_so_with_its_reason_wherever_it_stands(
    browse: Browse, reviewer: User, card_of: Callable[[bool], ReportCard]
) -> None:
    card = card_of(False)
    client = browse(reviewer)
    page = text_of(client.get(f"/cards/{card.pk}/"))
    assert f"it is confounded and its cause cannot be told apart: {WHY}" in page
    assert f"Accuracy on members less accuracy on non-members Privacy confounded {WHY}" in page
    detail = text_of(client.get(f"/cards/{card.pk}/evaluations/members/"))
    assert f"Confounded: {WHY}" in detail
    assert "loss confounded n = 2,000" in detail
    assert "Passes" not in page + detail


def test_a_claim_that_is_not_refuted_is_never_passed(
    browse: Browse, reviewer: User, card_of: Callable[[bool], ReportCard]
) -> None:
    page = text_of(browse(reviewer).get(f"/cards/{card_of(False).pk}/"))
    assert "Claim of differential privacy is not refuted , limit not refuted. The claim" in page
    assert "which is no proof of it: this demand can be missed, and is never met by more examples" in page
    assert "One that is not refuted is not proven" in page
    assert "Cannot tell yet" in page


def test_the_policy_states_the_limit_of_a_claim_in_words(
    browse: Browse, reviewer: User, card_of: Callable[[bool], ReportCard]
) -> None:
    card_of(False)
    page = text_of(browse(reviewer).get("/policies/private/"))
    assert "Claim of differential privacy not refuted" in page
    assert "≤ 0.6" in page


def test_a_refuted_claim_fails(browse: Browse, reviewer: User, card_of: Callable[[bool], ReportCard]) -> None:
    card = card_of(True)
    page = text_of(browse(reviewer).get(f"/cards/{card.pk}/evaluations/coins/"))
    assert "PRIV-01 Claim of differential privacy Fails" in page
    assert "By the canaries the claim is refuted" in page


def test_the_report_prints_the_same_words(card_of: Callable[[bool], ReportCard]) -> None:
    text = printed(card_of(False))
    assert "not refuted" in text
    assert "this demand can be missed, and is never met by more examples" in text
    assert f"Confounded. {WHY}" in text
    assert f"Confounded: {WHY}" in text


def test_the_words_are_said_in_chinese_too() -> None:
    limit = {"comparison": "<=", "limit": 0, "outcome": "inconclusive"}
    claim = {**limit, "unit": "refutation", "reason_code": "interval_straddles_limit", "reason": "-"}
    members = {**limit, "unit": "score", "reason_code": "confounded", "reason": f"Not assessed: {WHY}"}
    with translation.override("zh-hans"):
        assert words.without_value("confounded") == "混淆"
        assert "未被推翻" in words.reason(claim)
        assert words.reason(members).startswith("未评估")
        assert words.reason(members).endswith(WHY)


@pytest.mark.parametrize(
    ("demand", "why"),
    [
        ('metric: refuted, comparison: "<=", limit: 0, decide_by: point', "merely not refuted"),
        ('metric: refuted, comparison: "<=", limit: 1', "merely not refuted"),
        ('metric: refuted, comparison: ">=", limit: 0', "merely not refuted"),
        (
            'metric: epsilon_lower_bound, comparison: "<=", limit: 3, decide_by: point',
            "against a claim alone",
        ),
        ('metric: epsilon_lower_bound, comparison: "<=", limit: 3', "against a claim alone"),
        ('metric: claim_p, comparison: ">=", limit: 0.05, decide_by: point', "against a claim alone"),
    ],
)
def test_no_policy_may_pass_a_claim_that_is_not_refuted(demand: str, why: str) -> None:
    written = 'metric: refuted, comparison: "<=", limit: 0'
    assert written in POLICY
    with pytest.raises(DomainError) as refused:
        publish(principal=None, source=POLICY.replace(written, demand))
    assert why in refused.value.message


def test_groups_of_an_evaluation_are_called_on_pages_as_in_its_charts() -> None:
    known = {
        "privacy.membership": {"attack": membership.TITLES},
        "privacy.pii_leakage": {"entity": pii_leakage.TITLES},
        "safety.generation": {"strategy": strategies.TITLES},
        "safety.escalation": {"ladder": ladders.TITLES},
        "safety.injection": dict.fromkeys(("direct", "indirect", "system", "tools"), injection_texts.TITLES),
    }
    assert {k: v for columns in known.values() for k, v in columns.items()} == sentences.OWN_GROUPS
    for evaluation, columns in known.items():
        for column, groups in columns.items():
            assert {g: slice_words.slice_group(evaluation, column, g) for g in groups} == groups
    with translation.override("zh-hans"):
        assert slice_words.slice_column("entity", "privacy.pii_leakage") == "数据种类"
        assert slice_words.slice_group("privacy.membership", "attack", "quantile") == "分位数回归"
        times = slice_words.slice_group("privacy.memorisation", "continuations", "10 at p=0.5")
        assert times == "10 次，以概率 0.5 找到"
        assert slice_words.slice_group("privacy.membership", "sex", "loss") == "loss"
        assert (
            slice_words.slice_group("safety.injection", "direct", "chatml_roles") == "ChatML 角色标记"
        )  # not a way of asking
        assert chart_words.chart_cell("Attack", "Min-K%") == "Min-K%"
        assert chart_words.chart_cell("Attack", "all combined") == "全部结合"
        assert chart_words.chart_cell("Kind", "Phone number") == "电话号码"
        assert chart_words.chart_cell("Group", "loss") == "loss"


@pytest.mark.parametrize("column", ["kind", "attack", "test", "place", "message", "system"])
def test_a_column_of_the_data_keeps_its_name_though_another_evaluation_has_one_of_that_name(
    column: str,
) -> None:
    assert slice_words.slice_column(column, "safety.toxicity") == column
    assert slice_words.slice_group("safety.toxicity", column, "loss") == "loss"
    assert sentences.of_slice(f"{column}=end", "safety.toxicity") == f"where {column} is end"
