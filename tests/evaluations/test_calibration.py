"""quality.calibration: golden values, an independent computation, and coverage of the debiased interval."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special
from scipy import stats as scipy_stats

from evaluations import catalogue
from evaluations.quality import calibration_error as ce
from evaluations.quality.calibration_null import Null, poisson_binomial
from evaluations.spec import EvaluationResult, Interval, Role
from tests.evaluations import make

Model = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def sure(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.5, 1, n)


def null_of(confidence: np.ndarray) -> Null:
    return Null(confidence, ce.equal_width(confidence))


def plain_ece(confidence: np.ndarray, right: np.ndarray) -> float:
    """The definition, bin by bin."""
    total = 0.0
    for b in range(15):
        held = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if held.any():
            total += held.mean() * abs(right[held].mean() - confidence[held].mean())
    return total


def test_ece_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    confidence, right = rng.uniform(size=500), rng.integers(0, 2, 500).astype(float)
    assert ce.binned(ce.equal_width(confidence), confidence, right).ece == pytest.approx(
        plain_ece(confidence, right)
    )


def test_bins_are_closed_on_the_right() -> None:
    assert ce.equal_width(np.array([0.0, 1 / 15, 1 / 15 + 1e-9, 5 / 15, 14 / 15, 1.0])).tolist() == [
        0,
        0,
        1,
        4,
        13,
        14,
    ]


def test_a_perfect_model_shows_the_known_error_at_300_examples() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(3000):
        confidence = sure(300, rng)
        right = (rng.random(300) < confidence).astype(float)
        found.append(ce.binned(ce.equal_width(confidence), confidence, right).ece)
    assert np.mean(found) == pytest.approx(0.0515, abs=0.002)
    assert np.quantile(found, 0.95) == pytest.approx(0.0763, abs=0.003)
    null = np.concatenate([null_of(sure(300, rng)).draw(rng, 200) for _ in range(20)])
    assert null.mean() == pytest.approx(0.0515, abs=0.002)
    assert np.quantile(null, 0.95) == pytest.approx(0.0763, abs=0.003)


def test_the_law_of_the_number_right_is_exact() -> None:
    rng = np.random.default_rng(4)
    p = rng.uniform(size=9)
    every = np.zeros(10)
    for outcome in itertools.product((0, 1), repeat=9):
        every[sum(outcome)] += np.where(outcome, p, 1 - p).prod()
    assert poisson_binomial(p) == pytest.approx(every, abs=1e-15)
    assert poisson_binomial(np.full(500, 0.3)) == pytest.approx(
        scipy_stats.binom.pmf(range(501), 500, 0.3), abs=1e-14
    )
    assert poisson_binomial(np.array([1.0, 0.0, 1.0])) == pytest.approx([0, 0, 1, 0])


def test_the_null_is_that_of_drawing_every_row() -> None:
    rng = np.random.default_rng(5)
    confidence = sure(400, rng)
    rows = [plain_ece(confidence, (rng.random(400) < confidence).astype(float)) for _ in range(4000)]
    null = null_of(confidence)
    assert null.mean == pytest.approx(np.mean(rows), abs=4 * np.std(rows) / np.sqrt(4000))
    assert scipy_stats.ks_2samp(null.draw(rng, 4000), rows).pvalue > 0.01
    assert null_of(rng.permutation(confidence)).mean == null.mean


def test_equal_count_bins_do_not_depend_on_order_and_keep_ties_together() -> None:
    rng = np.random.default_rng(2)
    confidence = np.round(rng.uniform(size=400), 2)
    index = ce.equal_count(confidence)
    shuffled = rng.permutation(400)
    assert np.array_equal(ce.equal_count(confidence[shuffled]), index[shuffled])
    for value in np.unique(confidence):
        assert len(set(index[confidence == value])) == 1


def shifted(c: np.ndarray, by: float) -> np.ndarray:
    return np.clip(c - by, 0, 1)


MODELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "calibrated": lambda c: c,
    "everywhere 5 points too sure": lambda c: shifted(c, 0.05),
    "3 points too sure": lambda c: shifted(c, 0.03),
    "temperature 1.5 too sharp": lambda c: special.expit(special.logit(np.clip(c, 0, 1 - 1e-9)) / 1.5),
    "wrong in one bin": lambda c: np.where(c > 14 / 15, c - 0.4, c),
    "now too sure, now too unsure": lambda c: np.clip(c + np.where(ce.equal_width(c) % 2, 0.05, -0.05), 0, 1),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_debiased_interval_holds_the_true_error(name: str) -> None:
    """Two-sided 95 %: each end may miss in 2.5 % of the audits (5 standard errors of the simulation allowed)."""
    rng = np.random.default_rng(4)
    c = sure(1_000_000, rng)
    index, p = ce.equal_width(c), MODELS[name](c)
    counts = np.maximum(1, np.bincount(index))
    truth = float((np.abs(np.bincount(index, p - c)) / counts * (np.bincount(index) / len(c))).sum())
    for n in (100, 1000, 4000):
        below = above = 0
        for _ in range(400):
            confidence = sure(n, rng)
            right = (rng.random(n) < MODELS[name](confidence)).astype(float)
            low, high = ce.ece_bounds(ce.binned(ce.equal_width(confidence), confidence, right))
            below += high < truth
            above += low > truth
        assert below / 400 <= 0.025 + 5 * np.sqrt(0.025 * 0.975 / 400)
        assert above / 400 <= 0.025 + 5 * np.sqrt(0.025 * 0.975 / 400)


def test_few_examples_never_show_good_calibration_and_many_do() -> None:
    rng = np.random.default_rng(6)
    for n, passes in ((200, False), (4000, True)):
        confidence = sure(n, rng)
        right = (rng.random(n) < confidence).astype(float)
        _, high = ce.ece_bounds(ce.binned(ce.equal_width(confidence), confidence, right))
        assert (high <= 0.05) is passes


def test_debiasing_takes_off_most_of_what_chance_adds() -> None:
    rng = np.random.default_rng(7)
    plain, debiased = [], []
    for _ in range(400):
        confidence = sure(1000, rng)
        bins = ce.binned(
            ce.equal_width(confidence), confidence, (rng.random(1000) < confidence).astype(float)
        )
        plain.append(bins.ece)
        debiased.append(ce.debiased_ece(bins))
    assert np.mean(debiased) < 0.65 * np.mean(plain)


def test_brier_sums_over_the_classes_from_0_to_2(tmp_path: Path) -> None:
    table = make.frame(50)
    asked = make.request("quality.calibration", make.data_ref(table, tmp_path))
    wrong = dict(zip(table.x, table.label == "no", strict=True))

    def inverted(rows: object) -> np.ndarray:
        p = np.array([float(wrong[x]) for x in rows.x])  # type: ignore[attr-defined]  # a frame
        return np.column_stack([1 - p, p])

    result = make.evaluate(catalogue.get("quality.calibration"), make.Answering(inverted), asked, tmp_path)
    got = make.values(result)
    assert got["brier", "all"] == 2
    assert got["ece", "all"] == 1
    uniform = make.Answering(lambda rows: np.full((len(rows), 2), 0.5))
    assert make.values(make.evaluate(catalogue.get("quality.calibration"), uniform, asked, tmp_path))[
        "brier", "all"
    ] == pytest.approx(0.5)


def ends_of(result: EvaluationResult, name: str) -> Interval:
    (interval,) = (m.interval for m in result.metrics if m.name == name)
    assert interval is not None
    return interval


def test_few_surely_right_answers_do_not_make_a_brier_score_certain(tmp_path: Path) -> None:
    table = make.frame(20)
    asked = make.request("quality.calibration", make.data_ref(table, tmp_path))
    right = dict(zip(table.x, table.label == "yes", strict=True))

    def perfect(rows: pd.DataFrame) -> np.ndarray:
        p = np.array([float(right[x]) for x in rows.x])
        return np.column_stack([1 - p, p])

    result = make.evaluate(catalogue.get("quality.calibration"), make.Answering(perfect), asked, tmp_path)
    assert make.values(result)["brier", "all"] == 0
    assert ends_of(result, "brier").high == pytest.approx(
        2 * (1.96**2 / (20 + 1.96**2)), abs=1e-3
    )  # Wilson 0/20


def test_people_with_several_rows_count_as_people(tmp_path: Path) -> None:
    table = make.frame(200)
    fivefold = pd.concat([table.assign(id=table.id + f"-{i}", person=table.id) for i in range(5)])
    evaluation, model = catalogue.get("quality.calibration"), make.Answering(make.logistic)
    alone = make.evaluate(
        evaluation, model, make.request(evaluation.name, make.data_ref(table, tmp_path)), tmp_path
    )
    (tmp_path / "five").mkdir()
    ref = make.data_ref(fivefold, tmp_path / "five", {**make.TABULAR_ROLES, "person": Role.CLUSTER})
    together = make.evaluate(evaluation, model, make.request(evaluation.name, ref), tmp_path / "five")
    five, one = ends_of(together, "brier"), ends_of(alone, "brier")
    assert (five.low, five.high) == pytest.approx((one.low, one.high), abs=0.01)
    wide, right = ends_of(together, "ece_debiased"), ends_of(alone, "ece_debiased")
    assert wide.high >= right.high - 0.01
    assert wide.low <= right.low
    assert "independent" in together.warnings[0]
