"""fairness.identity_terms against scikit-learn on subsets cut by hand, with intervals that hold at any sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from auditor.policies.rules import Demand, Measurement, Outcome, judge
from evaluations import catalogue
from evaluations.fairness import identity_groups
from evaluations.fairness.identity_terms import IdentityParams
from evaluations.spec import EvaluationError, EvaluationResult, Metric, MetricStatus, Modality, Role
from evaluations.stats.areas import area, generalised_mean
from tests.evaluations import make
from tests.evaluations.cases.fairness_identity_terms import ROLES, Reading
from tests.evaluations.kinds import stand_in_ref

TERMS = catalogue.get("fairness.identity_terms")
AT_LEAST = Demand(">=", 0.8, "interval", 1)  # the default demand, of `worst_auc`
BOTH = {**ROLES, "religion": Role.SENSITIVE, "score": Role.IGNORE}


def measured(
    table: pd.DataFrame, folder: Path, roles: dict[str, Role] = ROLES, data: Any = None, **params: Any
) -> EvaluationResult:
    """The model's answer to a text is the number in its last word."""
    ref = make.data_ref(table, folder, roles, **({"favourable_label": "fine"} if data is None else data))
    asked = make.request(TERMS.name, ref, stand_in_ref(Modality.TEXT_CLASSIFIER), **params)
    return make.evaluate(TERMS, Reading(lambda text: float(text.split()[-1])), asked, folder)


def at(result: EvaluationResult, name: str, slice: str = "all") -> Metric:
    (found,) = (m for m in result.metrics if (m.name, m.slice) == (name, slice))
    return found


def scored(n: int, seed: int = 0, **groups: tuple[float, float]) -> pd.DataFrame:
    """n texts. `groups` are how often each is named, and by how much naming it lifts the score of any text."""
    rng = np.random.default_rng(seed)
    toxic = rng.random(n) < 0.4
    named = rng.choice(
        [*groups, None], n, p=[*(s for s, _ in groups.values()), 1 - sum(s for s, _ in groups.values())]
    )  # type: ignore[arg-type]
    lift = np.array([groups[g][1] if g else 0.0 for g in named])
    p = np.round(1 / (1 + np.exp(-(rng.normal(size=n) + 3 * toxic - 1.5 + lift))), 3)
    return pd.DataFrame(
        {
            "id": [f"c{i:05d}" for i in range(n)],
            "text": [f"comment {i} {x}" for i, x in enumerate(p)],
            "label": np.where(toxic, "toxic", "fine"),
            "group": named,
            "score": p,
        }
    )


# --- the numbers ------------------------------------------------------------------------------------------


def test_areas_equal_scikit_learns_on_subsets_cut_by_hand(tmp_path: Path) -> None:
    table = scored(1500, women=(0.2, 0.0), men=(0.2, 0.5), both=(0.1, 2.0))
    table["religion"] = np.random.default_rng(1).choice(["0.8", "0.3", "1", None], len(table))
    result = measured(table, tmp_path, BOTH)
    named = {f"group={g}": (table.group == g).to_numpy() for g in ("women", "men", "both")}
    named["religion=1"] = table.religion.isin(["0.8", "1"]).to_numpy()
    toxic, p = (table.label == "toxic").to_numpy(), table.score.to_numpy()

    def auc(rows: np.ndarray) -> float:
        return float(roc_auc_score(toxic[rows], p[rows]))

    means = []
    for where, own in named.items():
        expected = {
            "subgroup_auc": auc(own),
            "bpsn_auc": auc((own & ~toxic) | (~own & toxic)),
            "bnsp_auc": auc((own & toxic) | (~own & ~toxic)),
            "positive_gap": _above(p[own & toxic], p[~own & toxic]) - 0.5,
            "negative_gap": _above(p[own & ~toxic], p[~own & ~toxic]) - 0.5,
        }
        got = {name: at(result, name, where).value for name in expected}
        assert got == pytest.approx(expected, abs=1e-12)
        means.append([expected[name] for name in ("subgroup_auc", "bpsn_auc", "bnsp_auc")])
    overall = float(roc_auc_score(toxic, p))
    powers = [sum(m[i] ** -5 for m in means) / len(means) for i in range(3)]
    assert at(result, "overall_auc").value == pytest.approx(overall, abs=1e-12)
    assert at(result, "bias_score").value == pytest.approx((overall + sum(x**-0.2 for x in powers)) / 4)
    assert at(result, "worst_auc").value == pytest.approx(min(min(m) for m in means))


def _above(one: np.ndarray, other: np.ndarray) -> float:
    return float(mannwhitneyu(one, other).statistic) / (len(one) * len(other))


def test_a_small_table_worked_by_hand(tmp_path: Path) -> None:
    rows = [  # named, toxic, score
        ("women", "toxic", 0.9),
        ("women", "fine", 0.8),
        ("women", "fine", 0.4),
        (None, "toxic", 0.6),
        (None, "toxic", 0.7),
        (None, "fine", 0.1),
    ]
    table = pd.DataFrame(rows, columns=["group", "label", "p"])
    table = table.assign(id=[f"r{i}" for i in range(6)], text=[f"t {p}" for p in table.p])
    result = measured(table, tmp_path, suppress_below=1)
    values = {
        name: at(result, name, "group=women").value for name in ("subgroup_auc", "bpsn_auc", "bnsp_auc")
    }
    # toxic .6 and .7 beat .4 and lose to .8: half of four pairs
    assert values == {"subgroup_auc": 1.0, "bpsn_auc": 0.5, "bnsp_auc": 1.0}
    assert at(result, "positive_gap", "group=women").value == 0.5  # .9 beats both
    assert at(result, "negative_gap", "group=women").value == 0.5
    assert at(result, "worst_auc").value == 0.5


def test_a_group_that_raises_false_alarms_is_found_by_the_right_area(tmp_path: Path) -> None:
    result = measured(scored(4000, seed=2, women=(0.3, 0.0), gay=(0.3, 3.0)), tmp_path)
    assert at(result, "bpsn_auc", "group=gay").value < 0.7 < at(result, "subgroup_auc", "group=gay").value  # type: ignore[operator]
    assert at(result, "negative_gap", "group=gay").interval.low > 0.2  # type: ignore[union-attr]
    assert at(result, "worst_auc").value == at(result, "bpsn_auc", "group=gay").value
    assert outcome(at(result, "worst_auc")) is Outcome.FAIL


def test_the_generalised_mean_leans_towards_the_worst() -> None:
    assert generalised_mean(np.array([0.5, 1.0]), -5) == pytest.approx(((2**5 + 1) / 2) ** -0.2)
    assert generalised_mean(np.array([0.0, 1.0]), -5) == 0


# --- how sure they are -----------------------------------------------------------------------------------


def outcome(metric: Metric) -> Outcome:
    low, high = (metric.interval.low, metric.interval.high) if metric.interval else (None, None)
    return judge(AT_LEAST, Measurement(metric.value, low, high, metric.n, metric.status.value)).outcome


Draw = Callable[[np.random.Generator, int], np.ndarray]
LAWS: dict[str, tuple[Draw, Draw, float]] = {  # positives, negatives, true area
    "normal": (lambda g, k: g.normal(1.8124, 1, k), lambda g, k: g.normal(0, 1, k), 0.9),
    "exponential": (lambda g, k: g.exponential(9, k), lambda g, k: g.exponential(1, k), 0.9),
    "missed": (
        lambda g, k: np.where(g.random(k) < 0.9, 2, -2) + g.normal(0, 0.1, k),
        lambda g, k: g.normal(0, 0.1, k),
        0.9,
    ),
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("m", "n"), [(10, 10), (10, 1000), (1000, 10), (60, 2000), (200, 200)])
def test_the_interval_of_an_area_covers_at_unequal_sizes(law: str, m: int, n: int) -> None:
    rng, (above, below, truth), missed = np.random.default_rng(5), LAWS[law], 0
    for _ in range(400):
        interval = area(above(rng, m), below(rng, n)).interval()
        missed += not interval.low <= truth <= interval.high
    assert missed / 400 <= 0.07


def test_texts_in_clusters_count_for_fewer() -> None:
    rng = np.random.default_rng(6)
    above, below = rng.normal(1.5, 1, 40), rng.normal(0, 1, 60)
    alone = area(above, below).interval()
    names = np.array([f"k{i}" for i in range(100)])
    four = area(
        np.repeat(above, 4), np.repeat(below, 4), (np.repeat(names[:40], 4), np.repeat(names[40:], 4))
    )
    one = area(above, below, (names[:40], names[40:])).interval()
    assert four.value == pytest.approx(area(above, below).value)
    for interval in (four.interval(), one):
        assert interval.low == pytest.approx(alone.low, abs=0.01)
        assert interval.high == pytest.approx(alone.high, abs=0.01)
    perfect = area(np.ones(40), np.zeros(40), (np.repeat(names[:4], 10), np.repeat(names[4:8], 10)))
    assert (perfect.positives, perfect.negatives) == (4, 4)


def test_the_worst_area_is_covered_and_not_taken_at_its_luckiest(tmp_path: Path) -> None:
    """Six groups whose areas are all truly Φ(3/√2): the interval of the smallest holds it."""
    truth, missed = 0.5 * (1 + math.erf(1.5)), 0
    for seed in range(40):
        table = scored(900, seed, **{f"g{i}": (0.12, 0.0) for i in range(6)})
        interval = at(measured(table, tmp_path), "worst_auc").interval
        assert interval is not None
        missed += not interval.low <= truth <= interval.high
    assert missed <= 3


def test_thirty_texts_never_pass_what_three_thousand_would_fail(tmp_path: Path) -> None:
    bad, good = {"women": (0.3, 0.0), "gay": (0.3, 2.2)}, {"women": (0.4, 0.0), "gay": (0.4, 0.0)}
    for params in ({}, {"suppress_below": 1}):
        few = [
            outcome(at(measured(scored(30, s, **bad), tmp_path, **params), "worst_auc")) for s in range(40)
        ]
        many = [outcome(at(measured(scored(3000, s, **bad), tmp_path), "worst_auc")) for s in range(5)]
        assert Outcome.PASS not in few
        assert set(many) == {Outcome.FAIL}
    assert outcome(at(measured(scored(3000, 1, **good), tmp_path), "worst_auc")) is Outcome.PASS


def test_a_rare_group_that_is_too_small_to_show_still_keeps_the_worst_from_passing(tmp_path: Path) -> None:
    table = scored(3000, 1, women=(0.4, 0.0), rare=(0.005, 2.5))
    result = measured(table, tmp_path)
    assert at(result, "subgroup_auc", "group=rare").status is MetricStatus.SUPPRESSED
    assert outcome(at(result, "worst_auc")) is Outcome.INCONCLUSIVE
    assert 0 < at(result, "worst_auc").interval.low < 0.8  # type: ignore[union-attr]  # what little is known counts
    assert any("counted in the ends" in warning for warning in result.warnings)
    one_kind = table[(table.group != "rare") | (table.label == "fine")]
    result = measured(one_kind, tmp_path)
    assert at(result, "subgroup_auc", "group=rare").status is MetricStatus.NOT_ESTIMABLE
    assert at(result, "worst_auc").interval.low == 0  # type: ignore[union-attr]
    assert any("leave the group out" in warning for warning in result.warnings)


def test_texts_without_an_answer_count_against_the_model_in_one_end_and_for_it_in_the_other(
    tmp_path: Path,
) -> None:
    table = scored(800, 3, women=(0.5, 0.0))
    whole = measured(table, tmp_path)
    silent = table.assign(text=[t if i % 60 else f"comment {i} nan" for i, t in enumerate(table.text)])
    some = measured(silent, tmp_path)
    for name, where in (("subgroup_auc", "group=women"), ("overall_auc", "all"), ("worst_auc", "all")):
        wide, narrow = at(some, name, where).interval, at(whole, name, where).interval
        assert wide is not None
        assert narrow is not None
        assert wide.low < narrow.low
        assert wide.high > narrow.high
    toxic, p = (table.label == "toxic").to_numpy(), table.score.to_numpy().copy()
    p[::60] = np.where(toxic[::60], -1, 2)  # against it
    own = (table.group == "women").to_numpy()
    least = area(p[own & toxic], p[own & ~toxic]).interval().low
    assert at(some, "subgroup_auc", "group=women").interval.low == pytest.approx(least)  # type: ignore[union-attr]
    assert some.coverage.failed == 14
    refused = measured(silent, tmp_path, max_error_rate=0.01)
    assert {m.status for m in refused.metrics} == {MetricStatus.NOT_ESTIMABLE}


# --- who is named ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "text", "named"),
    [
        ("gay", "I am GAY.", True),
        ("gay", "a gayal grazes", False),
        ("muslim|muslims", "Muslims pray", True),
        ("muslim", "Muslims pray", False),
        ("same-sex", "a same-sex couple", True),
        ("c++", "uses C++.", True),
        ("同性恋", "他是同性恋者", True),
        (".", "no full stop", False),
    ],
)
def test_terms_are_found_as_whole_words(term: str, text: str, named: bool) -> None:
    assert identity_groups._holding([text], term).tolist() == [named]


def test_terms_find_the_groups_that_columns_do_not_name(tmp_path: Path) -> None:
    table = scored(600, 4, women=(0.5, 0.0))
    table["text"] = [
        f"about {'a lesbian' if g == 'women' else 'nobody'} {p}"
        for g, p in zip(table.group, table.score, strict=True)
    ]
    roles = {k: v for k, v in ROLES.items() if k != "group"}
    by_word = measured(table, tmp_path, roles, terms=["lesbian|lesbians", "nun"])
    by_column = measured(table, tmp_path)
    assert at(by_word, "bpsn_auc", "term=lesbian").value == at(by_column, "bpsn_auc", "group=women").value
    assert {m.slice for m in by_word.metrics} == {"all", "term=lesbian"}  # nobody names a nun


def test_the_label_that_is_looked_for_may_be_named_or_follow_from_the_favourable_one(tmp_path: Path) -> None:
    table = scored(400, 5, women=(0.5, 0.0))
    by_favourable = measured(table, tmp_path)
    by_name = measured(table, tmp_path, data={}, positive_label="toxic")
    turned = measured(table, tmp_path, positive_label="fine")
    assert make.values(by_name) == make.values(by_favourable)
    # what is harmless is now looked for: both sides change places
    assert at(turned, "bpsn_auc", "group=women").value == pytest.approx(
        at(by_name, "bnsp_auc", "group=women").value
    )


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    table = scored(60, 5, women=(0.5, 0.0))
    without = {k: v for k, v in ROLES.items() if k != "group"}
    many = table.assign(group=[f"g{i}" for i in range(60)])
    for made, roles, data, params, code in [
        (table, without, None, {}, "sensitive_missing"),
        (table, ROLES, {}, {}, "positive_label_missing"),
        (table, ROLES, None, {"positive_label": "rude"}, "positive_label_unknown"),
        (many, ROLES, None, {}, "groups_many"),
    ]:
        with pytest.raises(EvaluationError) as error:
            measured(made, tmp_path, roles, data, **params)
        assert error.value.code == code
        assert error.value.skipped is (code == "sensitive_missing")
    for terms in (["gay", "Gay|gays"], ["gay|"], ["x" * 61]):
        with pytest.raises(ValueError, match="identity term"):
            TERMS.Params.model_validate({"terms": terms})


def test_the_chart_shows_three_areas_a_group_and_lists_what_is_not_shown(tmp_path: Path) -> None:
    (chart,) = measured(scored(1500, 1, women=(0.4, 0.0), rare=(0.004, 0.0)), tmp_path).charts
    assert len(chart.rows) == 6
    assert {row[0] for row in chart.rows if row[3] is None} == {"rare"}
    assert chart.spec["usermeta"]["auditor"]["metric"] == "worst_auc"


@pytest.mark.parametrize("term", ["", "gay|", "|".join(["a" * 50] * 30), "b" * 61])
def test_terms_that_are_empty_or_endless_are_refused(term: str) -> None:
    with pytest.raises(ValueError, match="identity term"):
        IdentityParams(terms=(term,))
