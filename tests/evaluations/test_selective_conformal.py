"""quality.selective_conformal: hand-worked tables, enumeration, scipy's beta-binomial, coverage by simulation."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue, stats
from evaluations.quality import conformal, halves, selective
from evaluations.spec import EvaluationResult, Metric, Role
from tests.evaluations import make

SELECTIVE = catalogue.get("quality.selective_conformal")


def measured(
    table: pd.DataFrame,
    folder: Path,
    roles: dict[str, Role] | None = None,
    answer: object = None,
    **params: object,
) -> EvaluationResult:
    ref = make.data_ref(table, folder, roles)
    model = make.Answering(answer or make.logistic)
    return make.evaluate(SELECTIVE, model, make.request(SELECTIVE.name, ref, **params), folder)


def at(result: EvaluationResult, name: str, slice: str = "all") -> Metric:
    (found,) = (m for m in result.metrics if (m.name, m.slice) == (name, slice))
    return found


# --- selective ------------------------------------------------------------------------------------


def test_aurc_of_a_table_worked_by_hand() -> None:
    confidence, loss = np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.0, 1.0, 0.0, 1.0])
    # risks 0, 1/2, 1/3, 1/2; best order 0, 0, 1/3, 1/2
    assert selective.risks(confidence, loss) == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert selective.aurc(confidence, loss) == pytest.approx(4 / 12)
    assert selective.best_aurc(4, 2) == pytest.approx(5 / 24)
    assert selective.e_aurc(confidence, loss) == pytest.approx(4 / 12 - 5 / 24)


def test_ties_give_the_mean_over_every_order() -> None:
    confidence = np.array([0.9, 0.7, 0.7, 0.7, 0.6, 0.6])
    loss = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    orders = [
        np.cumsum([0.0, *a, *b]) / np.arange(1, 7)
        for a in itertools.permutations(loss[1:4])
        for b in itertools.permutations(loss[4:])
    ]
    assert selective.risks(confidence, loss) == pytest.approx(np.mean(orders, axis=0))


def test_the_influence_is_that_of_dropping_each_row() -> None:
    rng = np.random.default_rng(0)
    confidence = np.sort(np.round(rng.uniform(0.5, 1, 300), 2))[::-1]
    loss = (rng.random(300) > confidence).astype(float)
    for statistic, by_row in (
        (selective.aurc, selective.influence),
        (selective.e_aurc, selective.excess_influence),
    ):
        dropped = np.array([statistic(np.delete(confidence, i), np.delete(loss, i)) for i in range(300)])
        jackknife = (300 - 1) * (dropped.mean() - dropped)
        found = by_row(confidence, loss)
        assert np.corrcoef(found, jackknife)[0, 1] > 0.99
        assert found.std() == pytest.approx(jackknife.std(), rel=0.1)


def test_where_all_are_tied_the_interval_is_wilsons() -> None:
    loss = np.repeat([1.0, 0.0], [12, 68])
    confidence = np.full(80, 0.7)
    found = selective.area_interval(0.15, selective.influence(confidence, loss), 12)
    wilson = stats.wilson(12, 80)
    assert found.low == pytest.approx(wilson.low, abs=1e-3)
    assert found.high == pytest.approx(wilson.high, abs=1e-3)


@pytest.mark.parametrize(("base", "slope"), [(0.3, 0.5), (0.02, 0.1), (0.5, 0.0)])
def test_intervals_of_the_areas_cover(base: float, slope: float) -> None:
    """Confidence uniform, share wrong base − slope·(rank − ½): the true area is a one-dimensional integral."""
    rng, n = np.random.default_rng(3), 500

    def rows(n: int) -> tuple[np.ndarray, np.ndarray]:
        c = np.sort(rng.random(n))[::-1]
        return c, (rng.random(n) < np.clip(base - slope * (c - 0.5), 0, 1)).astype(float)

    c, loss = rows(2_000_000)
    true = {"aurc": selective.aurc(c, loss), "e_aurc": selective.e_aurc(c, loss)}
    held = dict.fromkeys(true, 0)
    for _ in range(800):
        c, loss = rows(n)
        for name, statistic, by_row in (
            ("aurc", selective.aurc, selective.influence),
            ("e_aurc", selective.e_aurc, selective.excess_influence),
        ):
            found = selective.area_interval(statistic(c, loss), by_row(c, loss), loss.sum())
            held[name] += found.low <= true[name] <= found.high
    assert min(held.values()) >= 0.93 * 800, held


def test_risk_at_a_share_answered_is_that_of_the_most_confident(tmp_path: Path) -> None:
    table = make.frame(200, seed=4)
    result = measured(table, tmp_path, coverages=(0.25, 1.0))
    order = np.argsort(-np.abs(table.x.to_numpy()), kind="stable")
    wrong = ((table.x > 0) != (table.label == "yes")).to_numpy()[order]
    assert at(result, "selective_risk", "coverage=0.25").value == pytest.approx(wrong[:50].mean())
    full = at(result, "selective_risk", "coverage=1")
    assert full.value == pytest.approx(wrong.mean())
    assert full.interval is not None
    assert full.interval.low == pytest.approx(stats.wilson(int(wrong.sum()), 200).low)


# --- conformal ------------------------------------------------------------------------------------


def test_the_threshold_is_the_order_statistic() -> None:
    scores = np.arange(1, 10) / 10  # n = 9: rank ⌈10·0.9⌉ = 9
    assert conformal.threshold(scores, 0.1) == 0.9
    assert conformal.threshold(scores, 0.5) == 0.5
    assert conformal.threshold(scores[:8], 0.1) == np.inf


def test_scores_of_a_table_worked_by_hand() -> None:
    probs, u = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]), np.array([0.5, 1.0])
    assert conformal.class_scores(probs, "lac", u) == pytest.approx(1 - probs)
    # first row, falling: .5, .3, .2 → u·.5, .5 + u·.3, .8 + u·.2
    assert conformal.class_scores(probs, "aps", u) == pytest.approx(
        np.array([[0.9, 0.25, 0.65], [0.6, 0.9, 1.0]])
    )


def test_the_band_is_the_golden_one() -> None:
    assert stats.coverage_band(1000, 1000, 0.1) == pytest.approx((0.873, 0.925), abs=5e-4)


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_coverage_lies_in_its_band_as_often_as_promised(score: str) -> None:
    rng, inside, runs = np.random.default_rng(1), 0, 400
    low, high = stats.coverage_band(200, 200, 0.2)
    for _ in range(runs):
        logits = rng.normal(size=(400, 4)) * 1.5
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        truth = (logits + rng.gumbel(size=(400, 4))).argmax(axis=1)  # drawn from probs
        scores = conformal.class_scores(probs, score, rng.random(400))
        own = scores[np.arange(400), truth]
        covered = (own[200:] <= conformal.threshold(own[:200], 0.2)).mean()
        inside += low <= covered <= high
    assert inside / runs >= 0.93


def test_the_declared_calibration_split_is_used_and_foreign_rows_are_not(tmp_path: Path) -> None:
    table = make.frame(400, seed=2)
    table["part"] = np.repeat(["train", "calibration", "test", "ood"], 100)
    result = measured(table, tmp_path, {**make.TABULAR_ROLES, "part": Role.SPLIT})
    p = make.logistic(table)
    own = 1 - p[np.arange(400), (table.label == "yes").to_numpy().astype(int)]
    q = np.sort(own[100:200])[int(np.ceil(101 * 0.9)) - 1]
    assert at(result, "coverage").value == pytest.approx((own[200:300] <= q).mean())
    assert at(result, "coverage").n == 100
    assert at(result, "set_size").value == pytest.approx((1 - p[200:300] <= q).sum(axis=1).mean())
    yes = (table.label == "yes").to_numpy()[200:300]
    assert at(result, "class_coverage", "class=yes").value == pytest.approx((own[200:300] <= q)[yes].mean())
    assert at(result, "aurc").n == 100


def test_too_few_calibration_rows_are_said(tmp_path: Path) -> None:
    result = measured(make.frame(16), tmp_path)
    assert at(result, "coverage").value is None
    assert "it takes 9 to leave out 10.0%" in at(result, "coverage").reason


def test_rows_without_an_answer_widen_both_ways(tmp_path: Path) -> None:
    table = make.frame(400, seed=5)

    def shy(rows: pd.DataFrame) -> np.ndarray:
        return np.where((rows.x > 1.2).to_numpy()[:, None], np.nan, make.logistic(rows))

    open_, full = measured(table, tmp_path, answer=shy, max_error_rate=0.5), measured(table, tmp_path)
    for name in ("aurc", "e_aurc", "coverage", "set_size"):
        shy_metric, metric = at(open_, name), at(full, name)
        assert shy_metric.interval is not None
        assert metric.interval is not None
        assert shy_metric.interval.high - shy_metric.interval.low > metric.interval.high - metric.interval.low
        assert shy_metric.interval.low <= metric.value <= shy_metric.interval.high  # type: ignore[operator]


# --- halves ---------------------------------------------------------------------------------------


def test_halves_depend_on_ids_and_seed_alone_and_keep_clusters_whole() -> None:
    names = np.array([f"e{i}" for i in range(101)])
    first = halves.first_half(names, 7, "x")
    assert first.sum() == 50
    order = np.random.default_rng(0).permutation(101)
    assert np.array_equal(halves.first_half(names[order], 7, "x"), first[order])
    assert not np.array_equal(halves.first_half(names, 8, "x"), first)
    assert not np.array_equal(halves.first_half(names, 7, "y"), first)
    clusters = np.array([f"c{i % 10}" for i in range(101)])
    held = halves.first_half(clusters, 7, "x")
    assert all(len(set(held[clusters == c])) == 1 for c in set(clusters))
    u = halves.uniforms(np.array([str(i) for i in range(20_000)]), 1, "u")
    assert np.quantile(u, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.02)
