"""Membership inference against scikit-learn, ART, closed forms and models whose memory is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy import stats as distributions
from sklearn import metrics as sklearn_metrics
from sklearn.ensemble import RandomForestClassifier

from auditor.policies.rules import Demand, Measurement, Outcome, judge
from evaluations import catalogue, charts
from evaluations.charts.roc import rates
from evaluations.models.loader import load
from evaluations.models.protocol import TokenLogprobs, Usage
from evaluations.models.tabular_skops import of_estimator
from evaluations.privacy import membership_attacks, membership_parts
from evaluations.privacy.membership_parts import FIT, TEST, THRESHOLD
from evaluations.privacy.membership_scores import headlines
from evaluations.privacy.operating import Attack, Side, thresholds
from evaluations.spec import (
    Access,
    EvaluationError,
    EvaluationResult,
    Metric,
    MetricStatus,
    Modality,
    ModelFormat,
    ModelRef,
    Role,
)
from tests.evaluations import make

EVALUATION = catalogue.get("privacy.membership")
ROLES = {**make.TABULAR_ROLES, "member": Role.MEMBER}
OPEN = {"blind_limit": 1.0}  # for tests that are about the attacks, not about the gate


def one_way(score: np.ndarray, member: np.ndarray, seed: int = 0) -> Attack:
    """An attack of which every row sets thresholds, and the same rows are reported on."""
    n = len(score)
    ties = np.random.default_rng(seed).random(2 * n)
    part = np.repeat([THRESHOLD, TEST], n)
    return Attack(np.tile(score, 2), np.tile(member, 2), part, ties, None)


def audit(
    table: pd.DataFrame, model: Any, folder: Path, roles: dict[str, Role] | None = None, **params: Any
) -> EvaluationResult:
    data = make.data_ref(table, folder, roles or ROLES)
    return make.evaluate(EVALUATION, model, make.request(EVALUATION.name, data, **params), folder)


def got(result: EvaluationResult, name: str, where: str = "all") -> Metric:
    return next(m for m in result.metrics if (m.name, m.slice) == (name, where))


def ends(metric: Metric) -> tuple[float, float]:
    assert metric.interval is not None, metric.reason
    return metric.interval.low, metric.interval.high


# --- what an attack finds -----------------------------------------------------------------------------


def test_areas_and_points_of_the_curve_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    member = rng.random(1_000) < 0.4
    score = rng.normal(loc=member * 0.8)
    attack = one_way(score, member)
    assert attack.auc().value == pytest.approx(sklearn_metrics.roc_auc_score(member, score))
    fprs, tprs, _ = sklearn_metrics.roc_curve(member, score, drop_intermediate=False)
    n = int((~member).sum())
    for k in (0, 1, 6, 60, 300):
        at = float(tprs[fprs <= k / n + 1e-12].max())  # as many false alarms, and as many members as fit
        found = attack.tpr(k / n).value
        assert np.isclose(tprs[np.isclose(fprs, k / n)], found).any()
        assert found <= at


def test_tied_scores_give_the_area_with_ties_half_and_any_rate_of_false_alarms() -> None:
    rng = np.random.default_rng(2)
    member = np.arange(20_000) % 2 == 0
    score = (rng.random(20_000) < np.where(member, 0.9, 0.6)).astype(float)
    attack = one_way(score, member)
    assert attack.auc().value == pytest.approx(sklearn_metrics.roc_auc_score(member, score))
    # Guessing among equals, an attacker at 1 % false alarms accuses 1 % / P(1 | outside) of those with score 1.
    assert attack.tpr(0.01).value == pytest.approx(0.01 * 0.9 / 0.6, abs=0.003)


def test_thresholds_are_the_order_statistics_that_hold_the_true_one() -> None:
    """r and s by scipy's own quantile function: P(Bin(n, f) < r) ≤ α/2 and P(Bin(n, f) ≥ s) ≤ α/2."""
    n, rate, level = 1_000, 0.01, 0.95
    outside = Side(np.random.default_rng(0).permutation(n).astype(float), None)
    point, strict, loose = thresholds(outside, rate, level)
    tail = (1 - level) / 2
    r = int(distributions.binom.ppf(tail, n, rate))
    s = int(distributions.binom.ppf(1 - tail, n, rate)) + 1
    assert distributions.binom.cdf(r - 1, n, rate) <= tail < distributions.binom.cdf(r, n, rate)
    assert distributions.binom.sf(s - 1, n, rate) <= tail < distributions.binom.sf(s - 2, n, rate)
    assert (point, strict, loose) == (n - 1 - 10, n - r, n - s - 0.5)
    assert (outside.place > point).sum() == 10


def test_the_interval_covers_the_members_that_the_true_threshold_finds() -> None:
    rng = np.random.default_rng(5)
    shift, rate = 1.2, 0.01
    truth = distributions.norm.sf(distributions.norm.isf(rate) - shift)
    missed = np.zeros(2)
    for _ in range(400):
        member = np.repeat([True, False], 800)
        part = np.tile(np.repeat([THRESHOLD, TEST], 400), 2)
        found = Attack(rng.normal(loc=shift * member), member, part, rng.random(1_600), None).tpr(rate)
        missed += (found.low > truth, found.high < truth)
    assert (missed / 400 <= 0.04).all()  # 2.5 % each by construction; 3 standard errors above it


def test_rows_without_a_score_widen_both_ends() -> None:
    rng = np.random.default_rng(3)
    member = np.arange(4_000) % 2 == 0
    score = rng.normal(loc=0.7 * member)
    whole = one_way(score, member)
    lacking = one_way(np.where(np.arange(4_000) % 100 < 2, np.nan, score), member)
    for with_all, with_fewer in ((whole.auc(), lacking.auc()), (whole.tpr(0.01), lacking.tpr(0.01))):
        assert with_fewer.low < with_all.low
        assert with_fewer.high > with_all.high
    # Two in a hundred missing members may all be found, or none: the ends are at least that far apart.
    assert lacking.tpr(0.5).high - lacking.tpr(0.5).low > 0.02


def test_rows_in_clusters_count_for_less() -> None:
    rng = np.random.default_rng(4)
    people = np.repeat(np.arange(200), 10)
    member = people % 2 == 0
    score = np.repeat(rng.normal(size=200), 10) + 0.01 * rng.normal(size=2_000)
    part, ties = np.where(people % 4 < 2, THRESHOLD, TEST), rng.random(2_000)
    alone = Attack(score, member, part, ties, None)
    together = Attack(score, member, part, ties, people.astype(str))
    for narrow, wide in ((alone.auc(), together.auc()), (alone.tpr(0.1), together.tpr(0.1))):
        assert wide.value == narrow.value
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


# --- the attacks -------------------------------------------------------------------------------------


def test_the_loss_is_minus_the_log_of_the_true_class_and_tells_apart_what_rounds_to_one() -> None:
    from evaluations.privacy.membership_answers import of_classifier
    from evaluations.scoring import Scored

    probs = np.array([[0.2, 0.8], [0.2, 0.8], [1.0, 0.0], [1.0, 1e-20], [1.0, 1e-18], [np.nan, np.nan]])
    truth = np.array([0, 1, 1, 0, 0, 0])
    errors = np.isnan(probs[:, 0])
    answers = of_classifier(Scored(("a", "b"), np.arange(6), truth, probs, errors))
    assert answers.loss[:2] == pytest.approx(-np.log([0.2, 0.8]))
    assert np.isfinite(answers.loss[2])  # a probability of 0 is no infinite loss
    assert 0 < answers.loss[3] < answers.loss[4]
    assert answers.margin[:2] == pytest.approx(np.log([0.25, 4]))
    assert np.isnan(answers.loss[5])
    assert answers.right is not None
    assert answers.right.tolist() == [False, True, False, True, True, False]


def test_class_calibration_takes_away_how_hard_a_class_is() -> None:
    score = np.array([-1.0, -1.2, -5.0, -5.4, -1.0, -5.0])
    classes = np.array([0, 0, 1, 1, 0, 1])
    outside = np.array([True, True, True, True, False, False])
    found = membership_attacks.class_calibrated(score, classes, outside)
    prior, overall = membership_attacks.PRIOR_ROWS, -3.15
    means = [(-2.2 + prior * overall) / (2 + prior), (-10.4 + prior * overall) / (2 + prior)]
    assert found == pytest.approx(score - np.array(means)[classes])


def test_quantile_regression_standardises_by_input_and_label() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (6_000, 1))
    score = x[:, 0] + np.exp(x[:, 0] / 2) * rng.normal(size=6_000)
    outside = np.arange(6_000) < 3_000
    found = membership_attacks.quantile_standardised(score, x, outside)[~outside]
    for side in (x[~outside, 0] < 0, x[~outside, 0] >= 0):
        assert (found[side] > 0).mean() == pytest.approx(0.5, abs=0.06)
        assert (found[side] > 1).mean() == pytest.approx(0.1, abs=0.04)
    assert np.isnan(membership_attacks.quantile_standardised(score, x, np.arange(6_000) < 20)).all()


@pytest.mark.parametrize(("a", "gamma"), [(0.3, 1.0), (1.0, 1.0), (0.0, 2.0)])
def test_rmia_counts_the_pairs_of_its_definition(a: float, gamma: float) -> None:
    """Zarifzadeh et al. 2024, one row and one member of the population at a time."""
    rng = np.random.default_rng(0)
    p, reference = rng.random(40), rng.random(40)
    population = np.arange(40) < 15
    of_x = 0.5 * ((1 + a) * reference + (1 - a))
    expected = [
        np.mean([(p[x] / of_x[x]) / (p[z] / of_x[z]) >= gamma for z in np.flatnonzero(population)])
        for x in range(40)
    ]
    assert membership_attacks.rmia(p, reference, population, a, gamma) == pytest.approx(expected)


def test_the_gap_attack_of_a_label_only_service_is_arts(tmp_path: Path) -> None:
    from art.attacks.inference.membership_inference import MembershipInferenceBlackBoxRuleBased
    from art.estimators.classification.scikitlearn import ScikitlearnRandomForestClassifier

    table = twins_table(400)
    forest = RandomForestClassifier(5, random_state=0).fit(*known_to(table))
    features, truth = table[FEATURES].to_numpy(), (table.label == "yes").to_numpy().astype(int)
    rule = MembershipInferenceBlackBoxRuleBased(ScikitlearnRandomForestClassifier(forest))
    called = np.asarray(rule.infer(features, truth))

    class LabelOnly(make.Answering):
        access = Access.LABEL

    def named(rows: pd.DataFrame) -> np.ndarray:
        return np.eye(2)[(forest.predict(rows.to_numpy()) == "yes").astype(int)]

    model = LabelOnly(named)
    model.columns = tuple(FEATURES)
    result = audit(table, model, tmp_path, TWINS_ROLES, **OPEN)
    assert {m.slice for m in result.metrics} == {"all", "attack=gap"}
    data = make.dataset.read(make.data_ref(table, tmp_path, TWINS_ROLES), Modality.TABULAR)
    rows, member = membership_parts.known(data)
    part = membership_parts.cut(data.ids, member, 7, "membership parts", membership_parts.ENDS)
    test = part == TEST
    assert got(result, "attack_auc", "attack=gap").value == pytest.approx(
        sklearn_metrics.roc_auc_score(member[test], called[rows][test])
    )
    gap = called[member].mean() - called[~member].mean()
    assert got(result, "accuracy_gap").value == pytest.approx(gap)


# --- the twins --------------------------------------------------------------------------------------

FEATURES = [f"f{i}" for i in range(8)]
TWINS_ROLES = {
    "id": Role.ID,
    **dict.fromkeys(FEATURES, Role.INPUT),
    "label": Role.TARGET,
    "member": Role.MEMBER,
}


def twins_table(n: int, seed: int = 0) -> pd.DataFrame:
    """n rows, every second one a member; the label follows two features, with noise that can only be memorised."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(FEATURES)))
    noisy = x[:, 0] + x[:, 1] + rng.normal(scale=1.5, size=n) > 0
    table = pd.DataFrame(x, columns=FEATURES)
    return table.assign(
        id=[f"p{i:05d}" for i in range(n)], label=np.where(noisy, "yes", "no"), member=np.arange(n) % 2
    )


def known_to(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """What a model is trained on: its members."""
    inside = table[table.member == 1]
    return inside[FEATURES].to_numpy(), inside.label.to_numpy()


def forest(table: pd.DataFrame, folder: Path, **settings: Any) -> Any:
    """A small forest trained on the members, from its skops file."""
    features, labels = known_to(table)
    fitted = RandomForestClassifier(20, random_state=0, **settings).fit(
        pd.DataFrame(features, columns=FEATURES), labels
    )
    folder.mkdir()
    skops.io.dump(fitted, folder / "model.skops")
    return load(ModelRef(path=str(folder), digest="m", modality=Modality.TABULAR, format=ModelFormat.SKOPS))


def test_of_two_twins_the_overfitted_gives_its_members_away_and_the_regularised_does_not(
    tmp_path: Path,
) -> None:
    table = twins_table(8_000)
    overfitted = audit(table, forest(table, tmp_path / "over"), tmp_path, TWINS_ROLES)
    regularised = audit(table, forest(table, tmp_path / "under", min_samples_leaf=400), tmp_path, TWINS_ROLES)
    assert got(overfitted, "blind_auc").interval is not None
    assert got(overfitted, "blind_auc").interval.high <= 0.55  # type: ignore[union-attr]
    assert ends(got(overfitted, "auc"))[0] > 0.5
    assert ends(got(overfitted, "accuracy_gap"))[0] > 0.2
    assert ends(got(overfitted, "tpr_at_fpr_1pct"))[0] > 0.01
    assert ends(got(regularised, "auc"))[1] <= 0.55
    assert ends(got(regularised, "tpr_at_fpr_1pct"))[1] <= 0.05
    for metric in (
        got(overfitted, "attack_auc", "attack=loss"),
        got(regularised, "attack_auc", "attack=loss"),
    ):
        assert metric.status is MetricStatus.OK
        assert metric.n == 4_000


def test_the_thresholds_hold_on_rows_that_did_not_set_them(tmp_path: Path) -> None:
    table = twins_table(8_000, seed=3)
    result = audit(table, forest(table, tmp_path / "over"), tmp_path, TWINS_ROLES)
    for attack in ("loss", "class_loss", "quantile", "combined"):
        low, high = ends(got(result, "attack_fpr_1pct", f"attack={attack}"))
        assert low <= 0.02
        assert high >= 0.005


def test_a_reference_that_never_saw_the_rows_makes_attacks_stronger(tmp_path: Path) -> None:
    table = twins_table(6_000, seed=1)
    fresh = twins_table(6_000, seed=2)
    audited = of_estimator(RandomForestClassifier(20, random_state=0).fit(*framed(table)))
    reference = of_estimator(
        RandomForestClassifier(20, min_samples_leaf=20, random_state=1).fit(*framed(fresh))
    )
    data = make.data_ref(table, tmp_path, TWINS_ROLES)
    asked = make.request(EVALUATION.name, data).model_copy(
        update={"reference": make.STAND_IN.model_copy(update={"digest": "reference"})}
    )
    result = make.evaluate(EVALUATION, audited, asked, tmp_path, reference=reference)
    plain = got(result, "attack_auc", "attack=loss").value
    for attack in ("reference_ratio", "rmia"):
        found = got(result, "attack_auc", f"attack={attack}").value
        assert found is not None
        assert plain is not None
        assert found > plain


def framed(table: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    features, labels = known_to(table)
    return pd.DataFrame(features, columns=FEATURES), labels


# --- the parts --------------------------------------------------------------------------------------


def test_parts_are_disjoint_keep_clusters_whole_and_have_their_share_of_both_sides() -> None:
    rng = np.random.default_rng(0)
    names = np.array([f"person {i}" for i in rng.integers(0, 900, 4_000)])
    of_person = {name: rng.integers(0, 3) for name in set(names)}  # outside, inside, or both
    member = np.array(
        [of_person[name] == 1 or (of_person[name] == 2 and rng.random() < 0.5) for name in names]
    )
    part = membership_parts.cut(names, member, 7, "membership parts", membership_parts.ENDS)
    assert set(part) == {FIT, THRESHOLD, TEST}
    assert all(len(set(part[names == name])) == 1 for name in set(names))
    for side in (member, ~member):
        assert np.bincount(part[side]) / side.sum() == pytest.approx([0.25, 0.25, 0.5], abs=0.03)
    shuffled = rng.permutation(4_000)
    again = membership_parts.cut(
        names[shuffled], member[shuffled], 7, "membership parts", membership_parts.ENDS
    )
    assert (again == part[shuffled]).all()
    assert (membership_parts.cut(names, member, 8, "membership parts", membership_parts.ENDS) != part).any()


def test_inputs_that_are_on_both_sides_are_left_out_and_said_so(tmp_path: Path) -> None:
    table = make.frame(1_200).assign(member=np.arange(1_200) % 2)
    table.loc[1, ["x", "z"]] = table.loc[0, ["x", "z"]].to_numpy()
    table.loc[4, ["x", "z"]] = table.loc[2, ["x", "z"]].to_numpy()  # twice, on the same side
    result = audit(table, make.Answering(make.logistic), tmp_path, **OPEN)
    assert result.coverage.skipped == 2
    assert any("2 rows were left out" in warning for warning in result.warnings)


def test_rows_of_unknown_membership_are_not_asked_about(tmp_path: Path) -> None:
    table = make.frame(300).assign(member=np.where(np.arange(300) < 100, np.nan, np.arange(300) % 2))
    model = make.Answering(make.logistic)
    result = audit(table, model, tmp_path, **OPEN)
    assert model.usage.queries == 200
    assert (result.coverage.attempted, result.coverage.skipped) == (300, 100)


def test_shards_without_a_row_of_known_membership_change_nothing(tmp_path: Path) -> None:
    unknown = np.arange(300) < 100
    table = make.frame(300).assign(member=np.where(unknown, np.nan, np.arange(300) % 2))
    words = texts(300).assign(member=lambda t: np.where(np.arange(len(t)) < 100, np.nan, t.member))
    for rows, roles, model, ref in (
        (table, ROLES, make.Answering(make.logistic), make.STAND_IN),
        (words, TEXT_ROLES, Remembers(set(words.text[:150])), LANGUAGE_MODEL),
    ):
        asked = make.request(EVALUATION.name, make.data_ref(rows, tmp_path, roles), ref, **OPEN)
        whole, cut = (
            make.evaluate(EVALUATION, model, asked, tmp_path, cuts=cuts) for cuts in (None, [40, 80, 200])
        )
        assert whole.metrics == cut.metrics


def test_answers_that_hide_what_others_may_see_are_said_so(tmp_path: Path) -> None:
    table = make.frame(300).assign(member=np.arange(300) % 2)

    class Labels(make.Answering):
        access = Access.LABEL

    def rounded(rows: pd.DataFrame) -> np.ndarray:
        return np.round(make.logistic(rows))

    def said(model: Any) -> str:
        return " ".join(audit(table, model, tmp_path, **OPEN).warnings)

    assert said(make.Answering(make.logistic)) == ""
    assert "If the answers are rounded" in said(make.Answering(rounded))
    assert "named a class alone" in said(Labels(rounded))


@pytest.mark.parametrize(
    ("member", "code", "skipped"),
    [("maybe", "member_values", False), ("1", "one_side_only", True), (None, "one_side_only", True)],
)
def test_a_column_that_does_not_tell_members_from_others_is_refused(
    member: str | None, code: str, skipped: bool, tmp_path: Path
) -> None:
    with pytest.raises(EvaluationError) as error:
        audit(make.frame(30).assign(member=member), make.Answering(make.logistic), tmp_path)
    assert (error.value.code, error.value.skipped) == (code, skipped)


# --- what is not a number ----------------------------------------------------------------------------


def test_too_few_non_members_for_a_rate_are_said(tmp_path: Path) -> None:
    """368 test non-members bound 1 %, which takes 736 of them: the first n with (1 − rate)^n ≤ .025."""
    for n, wanted in ((1_468, MetricStatus.NOT_ESTIMABLE), (1_472, MetricStatus.OK)):
        table = make.frame(n).assign(member=np.arange(n) % 2)
        result = audit(table, make.Answering(make.logistic), tmp_path, **OPEN)
        assert got(result, "tpr_at_fpr_1pct").status is wanted
        assert got(result, "attack_fpr_1pct", "attack=loss").status is wanted
        assert got(result, "tpr_at_fpr_01pct").status is MetricStatus.NOT_ESTIMABLE
        assert "3,688 non-members" in got(result, "tpr_at_fpr_01pct").reason


def test_too_many_unanswered_rows_leave_no_number(tmp_path: Path) -> None:
    table = make.frame(1_000).assign(member=np.arange(1_000) % 2)

    def answer(rows: pd.DataFrame) -> np.ndarray:
        return np.where((rows.x > 1).to_numpy()[:, None], np.nan, make.logistic(rows))

    result = audit(table, make.Answering(answer), tmp_path, **OPEN)
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}
    assert "gave no answer" in got(result, "auc").reason


def test_thirty_members_never_pass_what_three_thousand_would_fail() -> None:
    """The default demand, at most 5 % found at 1 % false alarms, by the policy's own rule."""
    rng = np.random.default_rng(11)
    demand = Demand("<=", 0.05, "interval", 1)
    outcomes: dict[int, list[Outcome]] = {30: [], 300: [], 3_000: []}
    shift = distributions.norm.isf(0.01) - distributions.norm.isf(0.05)  # the truth is at the limit
    for n, found in outcomes.items():
        for _ in range(200):
            member = np.repeat([True, False], 2 * n)
            part = np.tile(np.repeat([THRESHOLD, TEST], n), 2)
            score = rng.normal(loc=shift * member)
            at = Attack(score, member, part, rng.random(4 * n), None).tpr(0.01)
            found.append(judge(demand, Measurement(at.value, at.low, at.high, n)).outcome)
    assert outcomes[30].count(Outcome.PASS) == 0
    for found in outcomes.values():
        assert found.count(Outcome.PASS) <= 0.05 * len(found)


def test_with_nothing_to_find_two_thousand_members_and_as_many_others_pass() -> None:
    """Four attacks alike by more than half, as of an honest classifier: the default demand can be met."""
    rng = np.random.default_rng(12)
    demand = Demand("<=", 0.05, "interval", 1)
    member, part = (
        np.repeat([True, False], 2_000),
        np.tile(np.repeat([FIT, THRESHOLD, TEST], [500, 500, 1_000]), 2),
    )
    passed, values = 0, []
    for _ in range(40):
        common = rng.normal(size=4_000)
        attacks = {
            f"a{k}": Attack(common + 0.8 * rng.normal(size=4_000), member, part, rng.random(4_000), None)
            for k in range(4)
        }
        headline = headlines(attacks, 2_000, 1_000)[1]
        low, high = ends(headline)
        assert low <= 0.01 <= high
        assert headline.value is not None
        values.append(headline.value)
        passed += judge(demand, Measurement(headline.value, low, high, 1_000)).outcome is Outcome.PASS
    assert passed >= 38
    assert np.mean(values) <= 0.0125  # chosen on other rows: hardly more than the 1 % that guessing finds


def test_a_cluster_with_rows_on_both_sides_does_not_make_the_interval_miss() -> None:
    """Members and the non-members that set the threshold may then be alike: each end holds by the union bound."""
    rng = np.random.default_rng(13)
    truth = distributions.norm.sf(distributions.norm.isf(0.05) - 0.5)
    people = np.repeat(np.arange(300).astype(str), 4)
    member = np.tile([True, True, False, False], 300)
    missed = 0
    for _ in range(150):
        score = 0.8 * np.repeat(rng.normal(size=300), 4) + 0.6 * rng.normal(size=1_200) + 0.5 * member
        found = Attack(score, member, np.full(1_200, TEST), rng.random(1_200), people).tpr(0.05)
        missed += not found.low <= truth <= found.high
    assert missed <= 150 * 0.09  # 5 % by construction; two standard errors above it


def test_the_headline_is_chosen_where_it_is_not_measured() -> None:
    """Of twenty worthless attacks the best on the test rows would look like a find: at .55 on average."""
    rng = np.random.default_rng(6)
    member, part = np.repeat([True, False], 400), np.tile(np.repeat([THRESHOLD, TEST], 200), 2)
    values, covered = [], 0
    for _ in range(60):
        attacks = {
            f"a{k}": Attack(rng.normal(size=800), member, part, rng.random(800), None) for k in range(20)
        }
        headline = headlines(attacks, 400, 200)[0]
        low, high = ends(headline)
        assert high == max(a.auc().high for a in attacks.values())
        covered += low <= 0.5 <= high
        values.append(headline.value)
    assert np.mean([v for v in values if v is not None]) == pytest.approx(0.5, abs=0.012)  # 3 standard errors
    assert covered >= 57


# --- language models ---------------------------------------------------------------------------------


class Remembers:
    """A language model that finds each word of a text it was trained on likelier."""

    modality = Modality.CAUSAL_LM
    adapter = "stand_in/1"
    access = Access.GENERATE | Access.LOGPROBS
    device = "cpu"

    def __init__(self, known: set[str], spread: bool = True) -> None:
        self.known, self.spread, self.usage = known, spread, Usage()

    def token_logprobs(self, texts: list[str]) -> list[TokenLogprobs | None]:
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> TokenLogprobs | None:
        logprobs = np.array([-2.0 - len(word) % 5 - (text not in self.known) for word in text.split()])
        if not len(logprobs):
            return None
        more = (np.full(len(logprobs), -3.0), np.full(len(logprobs), 1.5)) if self.spread else (None, None)
        return TokenLogprobs(logprobs, *more)


TEXT_ROLES = {"id": Role.ID, "text": Role.INPUT, "member": Role.MEMBER}
LANGUAGE_MODEL = make.STAND_IN.model_copy(update={"modality": Modality.CAUSAL_LM})


def texts(n: int) -> pd.DataFrame:
    return make.sentences(n).drop_duplicates("text").assign(member=lambda t: np.arange(len(t)) % 2)


def audit_texts(table: pd.DataFrame, model: Any, folder: Path, **params: Any) -> EvaluationResult:
    data = make.data_ref(table, folder, TEXT_ROLES)
    return make.evaluate(
        EVALUATION, model, make.request(EVALUATION.name, data, LANGUAGE_MODEL, **params), folder
    )


def test_a_language_model_is_attacked_by_its_tokens(tmp_path: Path) -> None:
    table = texts(900)
    model = Remembers(set(table.text[table.member == 1]))
    result = audit_texts(table, model, tmp_path, **OPEN)
    for attack in ("loss", "quantile", "zlib", "min_k", "min_k_pp", "combined"):
        assert ends(got(result, "attack_auc", f"attack={attack}"))[0] > 0.6, attack
    assert got(result, "accuracy_gap").status is MetricStatus.NOT_ESTIMABLE


def test_what_a_service_does_not_tell_is_said_of_that_attack_alone(tmp_path: Path) -> None:
    table = texts(900)
    model = Remembers(set(table.text[table.member == 1]), spread=False)
    result = audit_texts(table, model, tmp_path, **OPEN)
    assert got(result, "attack_auc", "attack=min_k_pp").status is MetricStatus.NOT_ESTIMABLE
    assert "does not tell" in got(result, "attack_auc", "attack=min_k_pp").reason
    for attack in ("loss", "min_k", "combined"):
        assert got(result, "attack_auc", f"attack={attack}").status is MetricStatus.OK


def test_a_service_without_log_probabilities_is_skipped(tmp_path: Path) -> None:
    model = Remembers(set())
    model.access = Access.GENERATE
    with pytest.raises(EvaluationError) as error:
        audit_texts(texts(60), model, tmp_path)
    assert error.value.skipped


# --- the chart ----------------------------------------------------------------------------------------


def test_the_curve_is_drawn_on_log_scales_from_what_the_rows_allow_with_its_table_beneath() -> None:
    assert rates(50_000)[0] == 1e-4
    assert rates(500)[0] in (0.001, 0.002)
    assert {0.001, 0.01, 0.1, 0.5, 1.0} <= set(rates(500))
    points = [(rate, min(1.0, 2 * rate), rate, min(1.0, 3 * rate)) for rate in rates(5_000)]
    (chart,) = charts.roc("attacks", "Members found", {"loss": points, "quantile": points}, 0.0184)
    assert [row[:2] for row in chart.rows if row[0] == "loss"] == [
        ("loss", rate) for rate in (0.001, 0.01, 0.1, 0.5)
    ]
    assert chart.rows[1] == ("loss", 0.01, 0.02, 0.01, 0.03)
    scales = [layer["encoding"]["y"]["scale"]["type"] for layer in chart.spec["layer"]]
    assert set(scales) == {"log"}
    (region,) = chart.spec["layer"][0]["data"]["values"]
    assert (region["from"], region["to"]) == (0.0184, 1)
    assert "1.84%" in chart.alt
    assert charts.roc("attacks", "Members found", {"loss": []}) == []
