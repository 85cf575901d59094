"""The outcome of a control and the verdict of a policy."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binomtest

from auditor.policies.document import Control
from auditor.policies.rules import (
    Demand,
    Measurement,
    Outcome,
    Result,
    VerdictName,
    WaiverInForce,
    judge,
    verdict,
)

unit = st.floats(0, 1, allow_nan=False)
measurements = st.tuples(unit, unit, unit, st.integers(1, 10_000)).map(
    lambda t: Measurement(sorted(t[:3])[1], min(t[:3]), max(t[:3]), t[3])
)
demands = st.builds(
    Demand,
    comparison=st.sampled_from([">=", "<="]),
    limit=unit,
    decide_by=st.sampled_from(["interval", "point"]),
    min_n=st.integers(1, 500),
)
results = st.lists(
    st.builds(
        Result,
        control=st.sampled_from(["QUAL-01", "FAIR-01", "ROB-01"]),
        slice=st.sampled_from(["all", "sex"]),
        outcome=st.sampled_from(Outcome),
        required=st.booleans(),
    ),
    unique_by=lambda r: (r.control, r.slice),
)
AT_LEAST_80 = Demand(">=", 0.80, "interval", 1)
AT_MOST_5 = Demand("<=", 0.05, "interval", 1)


def test_a_lower_bound_above_the_limit_passes() -> None:
    assert judge(AT_LEAST_80, Measurement(0.86, 0.81, 0.90, 100)).outcome is Outcome.PASS


def test_an_upper_bound_below_a_required_minimum_fails() -> None:
    assert judge(AT_LEAST_80, Measurement(0.70, 0.65, 0.79, 100)).outcome is Outcome.FAIL


def test_an_interval_that_straddles_the_limit_is_inconclusive_and_says_how_many_more() -> None:
    judged = judge(AT_MOST_5, Measurement(0.04, 0.02, 0.06, 100))
    assert judged.outcome is Outcome.INCONCLUSIVE
    # half-width .02 towards the limit must shrink to .01: four times the examples, 300 more
    assert judged.more_examples == 300


def test_the_named_number_of_examples_is_about_enough() -> None:
    found = binomtest(86, 100).proportion_ci(0.95, "wilson")
    more = judge(AT_LEAST_80, Measurement(0.86, found.low, found.high, 100)).more_examples
    assert more is not None
    then = binomtest(round(0.86 * (100 + more)), 100 + more).proportion_ci(0.95, "wilson")
    assert abs(then.low - 0.80) < 0.005


def test_a_value_on_the_limit_is_never_settled_by_more_examples() -> None:
    assert judge(AT_MOST_5, Measurement(0.05, 0.02, 0.06, 100)).more_examples is None


def test_a_bound_exactly_on_the_limit_keeps_it() -> None:
    assert judge(AT_LEAST_80, Measurement(0.85, 0.80, 0.90, 100)).outcome is Outcome.PASS


@given(demands)
def test_what_was_not_measured_is_not_assessed(demand: Demand) -> None:
    assert judge(demand, None).outcome is Outcome.NOT_ASSESSED


@given(demands, st.sampled_from(["not_estimable", "confounded", "suppressed"]))
def test_a_metric_without_a_number_is_not_assessed(demand: Demand, status: str) -> None:
    judged = judge(demand, Measurement(None, None, None, 100, status))
    assert (judged.outcome, judged.reason) == (Outcome.NOT_ASSESSED, status)


@given(demands, measurements)
def test_too_few_examples_never_decide(demand: Demand, measured: Measurement) -> None:
    if measured.n < demand.min_n:
        assert judge(demand, measured).outcome is Outcome.NOT_ASSESSED


@given(measurements, unit, st.sampled_from([">=", "<="]))
def test_an_interval_decides_at_most_as_boldly_as_its_point(
    measured: Measurement, limit: float, comparison: str
) -> None:
    by_interval = judge(Demand(comparison, limit, "interval", 1), measured).outcome
    by_point = judge(Demand(comparison, limit, "point", 1), measured).outcome
    assert by_interval in (by_point, Outcome.INCONCLUSIVE)


@given(measurements, unit, st.sampled_from([">=", "<="]), st.floats(0, 0.5))
@example(Measurement(5e-324, 0, 5e-324, 1), 5e-324, ">=", 5e-324)  # at the limit, by numbers next to nothing
@example(Measurement(0.5, 0.4, 0.6, 1), 0.5 + 1e-16, ">=", 0.5)
@example(Measurement(0, 0, 0.6, 1), 1e-200, "<=", 0.5)
def test_a_wider_interval_never_turns_anything_into_a_pass_or_a_fail(
    measured: Measurement, limit: float, comparison: str, extra: float
) -> None:
    demand = Demand(comparison, limit, "interval", 1)
    wider = Measurement(measured.value, measured.low - extra, measured.high + extra, measured.n)
    assert judge(demand, wider).outcome in (judge(demand, measured).outcome, Outcome.INCONCLUSIVE)


@given(measurements, unit)
def test_the_two_comparisons_mirror_each_other(measured: Measurement, limit: float) -> None:
    mirrored = Measurement(-measured.value, -measured.high, -measured.low, measured.n)
    assert (
        judge(Demand(">=", limit, "interval", 1), measured).outcome
        is judge(Demand("<=", -limit, "interval", 1), mirrored).outcome
    )


@given(results)
def test_a_required_failure_without_a_waiver_never_meets(found: list[Result]) -> None:
    if any(r.required and r.outcome is Outcome.FAIL for r in found):
        assert verdict(found) is VerdictName.DOES_NOT_MEET


@given(results)
def test_missing_or_undecided_required_evidence_never_meets(found: list[Result]) -> None:
    if any(r.required and r.outcome in (Outcome.INCONCLUSIVE, Outcome.NOT_ASSESSED) for r in found):
        assert verdict(found) in (VerdictName.INCOMPLETE, VerdictName.DOES_NOT_MEET)


@given(results)
def test_a_policy_under_which_nothing_required_was_decided_is_incomplete(found: list[Result]) -> None:
    if not any(r.required and r.outcome is not Outcome.NOT_APPLICABLE for r in found):
        assert verdict(found) is VerdictName.INCOMPLETE


@given(results)
def test_what_is_not_required_changes_no_verdict(found: list[Result]) -> None:
    assert verdict(found) is verdict([r for r in found if r.required])


@given(results)
def test_waivers_over_everything_leave_an_accepted_risk_not_a_clean_pass(found: list[Result]) -> None:
    everything = [WaiverInForce(r.control, r.slice) for r in found]
    decided = [r for r in found if r.required and r.outcome is not Outcome.NOT_APPLICABLE]
    if not decided:
        expected = VerdictName.INCOMPLETE
    elif all(r.outcome is Outcome.PASS for r in decided):
        expected = VerdictName.MEETS
    else:
        expected = VerdictName.MEETS_WITH_ACCEPTED_RISK
    assert verdict(found, everything) is expected


@given(results, st.randoms())
def test_the_order_of_controls_changes_no_verdict(found: list[Result], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert verdict(shuffled) is verdict(found)


def test_a_waiver_covers_only_its_own_slice() -> None:
    found = [Result("FAIR-01", "sex", Outcome.FAIL, True), Result("FAIR-01", "race", Outcome.FAIL, True)]
    assert verdict(found, [WaiverInForce("FAIR-01", "sex")]) is VerdictName.DOES_NOT_MEET


def test_a_demand_that_counts_where_it_fails_can_stop_a_model_and_never_lets_one_through() -> None:
    control = Control.model_validate(
        {
            "id": "PRIV-02",
            "title": "Claimed differential privacy",
            "area": "privacy",
            "item": "dp-audit",
            "metric": "refuted",
            "comparison": "<=",
            "limit": 0,
            "required": "if_failed",
        }
    )
    passed = Result("PRIV-01", "all", Outcome.PASS, required=True)

    def beside(outcome: Outcome) -> VerdictName:
        return verdict([passed, Result("PRIV-02", "all", outcome, control.decides(outcome))])

    assert beside(Outcome.FAIL) is VerdictName.DOES_NOT_MEET
    assert {beside(outcome) for outcome in set(Outcome) - {Outcome.FAIL}} == {VerdictName.MEETS}
    alone = [Result("PRIV-02", "all", Outcome.INCONCLUSIVE, control.decides(Outcome.INCONCLUSIVE))]
    assert verdict(alone) is VerdictName.INCOMPLETE


def test_a_rate_without_events_takes_about_as_many_more_as_its_bound_needs() -> None:
    """Clopper and Pearson's upper end of none in n is 1 - .025^(1/n): at most .01 from 368 on, .05 from 72 on."""
    for n, limit, needed in ((8, 0.01, 368), (98, 0.01, 368), (200, 0.01, 368), (30, 0.05, 72)):
        found = judge(Demand("<=", limit, "interval", 1), Measurement(0, 0, 1 - 0.025 ** (1 / n), n))
        assert found.outcome is Outcome.INCONCLUSIVE
        assert found.more_examples is not None
        assert needed * 0.8 <= n + found.more_examples <= needed * 1.1
