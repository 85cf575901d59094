"""The card says in order and in words what was measured; the same facts give the same bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.policies.rules import WORST_FIRST, Outcome
from auditor.reports import build, printed, sentences
from tests.card_examples import control, facts, measured

OUTCOMES = [outcome.value for outcome in Outcome]


def simple(
    outcome: str,
    *,
    area: str = "quality",
    required: bool = True,
    severity: str = "high",
    id_: str = "QUAL-01",
) -> dict[str, Any]:
    value = measured("balanced_accuracy", 0.9, 0.88, 0.92, 1000)
    return control(
        id_, area, ">=", 0.8, outcome, "interval_keeps_limit", value, required=required, severity=severity
    )


def card_of(*controls: dict[str, Any]) -> dict[str, Any]:
    return build.build(facts(controls=list(controls)))


def test_the_same_facts_give_the_same_bytes() -> None:
    assert build.canonical(build.build(facts())) == build.canonical(build.build(facts()))


def test_floats_are_rounded_to_twelve_digits_and_missing_stays_null() -> None:
    card = card_of(simple("pass") | {"value": 0.1 + 0.2, "ci_low": None, "ci_high": None})
    assert card["controls"][0]["value"] == 0.3
    assert json.loads(build.canonical(card))["controls"][0]["ci_low"] is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_never_reach_a_card(bad: float) -> None:
    with pytest.raises(ValueError, match="no NaN"):
        build.build(facts(audit={**facts().audit, "seed": bad}))


def test_an_area_has_the_outcome_of_its_worst_required_control() -> None:
    (area,) = card_of(
        simple("pass"), simple("inconclusive", id_="QUAL-02"), simple("fail", id_="QUAL-03", required=False)
    )["areas"]
    assert area == {
        "area": "quality", "outcome": "inconclusive", "passed": 1, "total": 3,
        "worst": {"control": "QUAL-02", "slice": "all"},
    }  # fmt: skip


def test_what_does_not_apply_counts_neither_as_passed_nor_as_asked() -> None:
    (area,) = card_of(simple("not_applicable"))["areas"]
    assert (area["outcome"], area["passed"], area["total"]) == ("not_applicable", 0, 0)


@given(
    st.lists(
        st.tuples(st.sampled_from(OUTCOMES), st.booleans(), st.sampled_from(build.SEVERITIES)), max_size=8
    )
)
def test_what_decides_is_every_required_control_in_the_way_worst_first(
    chosen: list[tuple[str, bool, str]],
) -> None:
    controls = [
        simple(outcome, required=required, severity=severity, id_=f"QUAL-{i:02}")
        for i, (outcome, required, severity) in enumerate(chosen)
    ]
    by_id = {c["control"]: c for c in controls}
    deciding = [by_id[d["control"]] for d in card_of(*controls)["deciding"]]
    in_the_way = [c for c in controls if c["required"] and c["outcome"] not in ("pass", "not_applicable")]
    assert sorted(c["control"] for c in deciding) == sorted(c["control"] for c in in_the_way)
    ranks = [
        (WORST_FIRST.index(Outcome(c["outcome"])), build.SEVERITIES.index(c["severity"])) for c in deciding
    ]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("verdict", "outcomes", "said"),
    [
        ("meets", ["pass", "pass"], "All 2 required controls pass."),
        ("meets", ["pass"], "The one required control passes."),
        ("incomplete", ["inconclusive", "pass"], "One required control cannot be told yet; 1 of 2 pass."),
        ("incomplete", ["not_assessed", "not_assessed"], "Two required controls were not assessed; 0 of 2 pass."),
        ("does_not_meet", ["fail", "fail", "inconclusive"],
         "Two required controls fail, one cannot be told yet; 0 of 3 pass."),
        ("incomplete", ["not_applicable"],
         "No control of the policy applies to this model, so there is nothing that could be met."),
    ],
)  # fmt: skip
def test_the_verdict_is_explained_in_one_sentence(verdict: str, outcomes: list[str], said: str) -> None:
    assert sentences.why(verdict, [simple(o, id_=f"QUAL-{i:02}") for i, o in enumerate(outcomes)]) == said


def test_an_inconclusive_says_what_would_settle_it() -> None:
    straddling = simple("inconclusive") | {"reason_code": "interval_straddles_limit", "more_examples": 1871}
    assert card_of(straddling)["controls"][0]["reason"].startswith(
        "Cannot tell yet; about 1,900 more examples would settle it."
    )
    assert sentences.cannot_tell(None).startswith("Cannot tell yet;")


@given(st.integers(1, 10**9))
def test_the_number_of_examples_is_rounded_up_to_two_digits(count: int) -> None:
    shown = int(sentences.cannot_tell(count).split("about ")[1].split(" more")[0].replace(",", ""))
    assert count <= shown <= count * 1.1 + 1
    assert len(str(shown).rstrip("0")) <= 2


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [(0.8614, "", "0.861"), (None, "", "–"), (0.00042, "", "0.00042"), (0.0, "", "0.000"), (1234.0, "count", "1,234"),
     (-0.25, "difference", "-0.250")],
)  # fmt: skip
def test_numbers_are_short_and_never_hide_a_small_value(value: float | None, unit: str, said: str) -> None:
    assert sentences.number(value, unit) == said


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.0123456, "seconds", "0.0123\u00a0s"),
        (89_128_960, "bytes", "85\u00a0MiB"),
        (512, "bytes", "512\u00a0B"),
        (1234.5, "joules", "1,234\u00a0J"),
        (0.725, "joules", "0.725\u00a0J"),
        (0, "grams", "0\u00a0g"),
        (81.4, "per_second", "81.4\u00a0/s"),
    ],
)
def test_physical_amounts_carry_their_unit(value: float, unit: str, said: str) -> None:
    assert sentences.number(value, unit) == said
    assert sentences.limit_text("<=", value, unit) == f"≤ {said}"


def test_a_value_next_to_its_limit_is_printed_with_enough_digits_to_see_the_side() -> None:
    places = sentences.decimals_for(0.8, [0.79996, 0.7, 0.9])
    assert sentences.number(0.79996, "", places) == "0.79996"
    assert sentences.decimals_for(0.8, [0.8, None]) == 3


@pytest.mark.parametrize(
    ("example", "heads"),
    [
        ({"id": "1", "kind": "attack_success", "before": "good", "after": "g0od"}, ["Before", "After"]),
        ({"id": "1", "kind": "worst_answer", "before": "2 + 2?", "after": "5"}, ["Asked", "Answered"]),
        ({"id": "1", "kind": "wrong_in_slice", "before": "a text", "after": ""}, ["Input"]),
        ({"id": "1", "kind": "newly_wrong", "before": "", "after": "", "facts": {"true_label": "yes"}}, []),
    ],
)
def test_an_example_is_headed_by_what_its_texts_are(example: dict[str, Any], heads: list[str]) -> None:
    assert [side["name"] for side in printed._example(example)["sides"]] == heads


def test_every_reason_of_the_rules_has_its_sentence() -> None:
    base = simple("not_assessed") | {"value": None, "ci_low": None, "ci_high": None, "reason": ""}
    for code in ("no_valid_run", "run_errored", "run_timed_out", "run_lost", "run_cancelled", "run_skipped",
                 "not_measured", "not_estimable", "confounded", "suppressed", "no_interval", "no_value"):  # fmt: skip
        said = sentences.decision(base | {"reason_code": code})
        assert said.startswith("Not assessed, because ")
        assert "no valid measurement" not in said
    few = sentences.decision(base | {"reason_code": "too_few_examples", "n": 150, "more_examples": 50})
    assert few == "Measured on 150 examples, but the policy asks for at least 200: about 50 more are needed."
