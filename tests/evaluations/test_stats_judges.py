"""Corrections for erring judges and agreement: published examples, other libraries, seeded simulation."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from evaluations import stats
from evaluations.spec import Interval
from evaluations.stats import Checked
from evaluations.stats.agreement import Scale

NAN = float("nan")
# Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, example C: 4 observers, 12 units.
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- judges ---------------------------------------------------------------------------------------


def test_correction_by_hand() -> None:
    # p = .3, Se = .9, Sp = .8: (.3 + .8 − 1)/(.9 + .8 − 1) = 1/7
    found = stats.rogan_gladen(300, 1000, Checked(900, 1000), Checked(800, 1000), rng())
    assert found.value == pytest.approx(1 / 7)
    assert found.interval is not None
    # Delta method (Rogan & Gladen 1978): var = [p(1−p)/n + θ²·Se(1−Se)/n₁ + (1−θ)²·Sp(1−Sp)/n₀]/(Se+Sp−1)².
    variance = (0.3 * 0.7 + 0.09 / 49 + (6 / 7) ** 2 * 0.16) / 1000 / 0.49
    half = 1.96 * variance**0.5
    assert (found.interval.low, found.interval.high) == pytest.approx((1 / 7 - half, 1 / 7 + half), abs=0.003)


@pytest.mark.parametrize(("n", "rate", "checked"), [(200, 0.2, 100), (100, 0.2, 100), (300, 0.1, 150)])
def test_correction_covers_only_because_the_observed_rate_is_resampled_too(
    n: int, rate: float, checked: int
) -> None:
    source, held, fixed = rng(3), 0, 0
    for _ in range(1000):
        flagged = int(source.binomial(n, rate * 0.85 + (1 - rate) * 0.05))
        positives = Checked(int(source.binomial(checked, 0.85)), checked)
        negatives = Checked(int(source.binomial(checked, 0.95)), checked)
        found = stats.rogan_gladen(flagged, n, positives, negatives, source, draws=399)
        assert found.interval is not None
        held += found.interval.low <= rate <= found.interval.high
        # A million rows with the same observed rate: as if that rate were known.
        known = stats.rogan_gladen(flagged / n * 1e6, 1e6, positives, negatives, source, draws=399)
        assert known.interval is not None
        fixed += known.interval.low <= rate <= known.interval.high
    assert 0.93 <= held / 1000 <= 0.97
    assert fixed / 1000 <= 0.82


def test_a_judge_that_may_be_guessing_corrects_nothing() -> None:
    found = stats.rogan_gladen(30, 100, Checked(11, 20), Checked(12, 20), rng())
    assert found.value is None
    assert found.interval is None
    assert "guessing" in found.reason
    assert stats.rogan_gladen(30, 100, Checked(2, 20), Checked(2, 20), rng()).value is None
    assert "some of both" in stats.rogan_gladen(30, 100, Checked(0, 0), Checked(18, 20), rng()).reason
    assert stats.rogan_gladen(30, 100, Checked(19, 20), Checked(18, 20), rng()).value is not None


def test_correction_stays_a_proportion() -> None:
    low = stats.rogan_gladen(0, 100, Checked(90, 100), Checked(80, 100), rng())
    high = stats.rogan_gladen(100, 100, Checked(90, 100), Checked(80, 100), rng())
    assert (low.value, high.value) == (0, 1)
    assert low.interval is not None
    assert high.interval is not None
    assert 0 <= low.interval.low <= low.interval.high < 0.2
    assert 0.8 < high.interval.low <= high.interval.high <= 1


def test_the_gate_takes_the_worse_of_raw_and_corrected() -> None:
    raw = Interval(low=0.02, high=0.06, method="wilson")
    corrected = Interval(low=0.0, high=0.04, method="rogan_gladen")
    gate = stats.gate_interval(raw, corrected)
    assert (gate.low, gate.high) == (0.0, 0.06)


def test_prediction_powered_mean_equals_ppi_py() -> None:
    # ppi-python 0.2.3, ppi_mean_pointestimate and ppi_mean_ci(alpha=.05) on the same counts; its standard
    # errors divide by n where ours divide by n − 1.
    truth, judged = np.repeat([1.0, 1, 0, 0], [8, 3, 5, 24]), np.repeat([1.0, 0, 1, 0], [8, 3, 5, 24])
    found = stats.ppi_mean(truth, judged, np.repeat([1.0, 0], [190, 310]))
    assert found is not None
    value, interval = found
    assert value == pytest.approx(0.29896894, abs=1e-7)
    assert (interval.low, interval.high) == pytest.approx((0.17966927, 0.4182686), abs=0.002)


def test_prediction_powered_mean_covers_and_is_shorter_than_labels_alone() -> None:
    source, held, shorter = rng(7), 0, 0
    for _ in range(600):
        truth = source.normal(size=60)
        everyone = source.normal(size=1500)
        judged = truth + source.normal(scale=0.5, size=60) + 0.4  # biased, yet valid
        judged_alone = everyone + source.normal(scale=0.5, size=1500) + 0.4
        found, alone = stats.ppi_mean(truth, judged, judged_alone), stats.mean_interval(truth)
        assert found is not None
        assert alone is not None
        held += found[1].low <= 0 <= found[1].high
        shorter += found[1].high - found[1].low < 0.7 * (alone.high - alone.low)
    assert held / 600 >= 0.93
    assert shorter / 600 >= 0.99


def test_a_worthless_judge_leaves_the_mean_of_the_labels() -> None:
    truth = rng(1).normal(size=50)
    found = stats.ppi_mean(truth, np.ones(50), np.ones(400))
    assert found is not None
    assert found[0] == pytest.approx(truth.mean())


def test_too_few_labels_give_no_prediction_powered_mean() -> None:
    assert stats.ppi_mean(np.arange(29.0), np.arange(29.0), np.arange(400.0)) is None
    assert stats.ppi_mean(np.zeros(40), np.zeros(40), np.zeros(400)) is None


# --- agreement ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table", [[[20, 5], [10, 15]], [[30, 2, 1], [4, 25, 6], [0, 3, 29]], [[5, 20], [15, 10]]]
)
def test_kappa_and_its_interval_equal_statsmodels(table: list[list[int]]) -> None:
    theirs = cohens_kappa(np.array(table))
    found = stats.cohens_kappa(np.array(table))
    assert found is not None
    assert found[0] == pytest.approx(theirs.kappa)
    assert (found[1].low, found[1].high) == pytest.approx((theirs.kappa_low, theirs.kappa_upp))


def test_kappa_of_judges_who_always_agree_is_not_certain() -> None:
    found = stats.cohens_kappa(np.diag([10, 10]))
    assert found is not None
    assert found[0] == 1
    assert 0.6 < found[1].low < 0.75
    assert stats.cohens_kappa(np.array([[20, 0], [0, 0]])) is None
    assert stats.cohens_kappa(np.zeros((2, 2), int)) is None


@pytest.mark.parametrize(("scale", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_krippendorffs_published_example(scale: Scale, alpha: float) -> None:
    found = stats.krippendorff_alpha(KRIPPENDORFF, scale, rng())
    assert found is not None
    assert found[0] == pytest.approx(alpha, abs=5e-4)
    assert found[1].low < 0.6


@pytest.mark.parametrize(
    ("scale", "alpha"),
    [("nominal", 0.155844155844156), ("ordinal", 0.2437948080855138), ("interval", 0.22875071306331995)],
)
def test_alpha_equals_the_krippendorff_package(scale: Scale, alpha: float) -> None:
    # krippendorff 0.9.0 on these ratings.
    ratings = np.array(
        [
            [4, 5, 1, 5, 3, 3, 4, 2, 5, 1, 2, 2, 3, 3, 1, 1, 1, 1, 1, 5],
            [5, 5, 2, 4, 2, 3, 4, 2, 5, 1, 2, 1, 2, 4, 1, 1, 1, 1, 1, 5],
            [NAN, 3, 5, NAN, 2, 5, NAN, 1, 2, NAN, 1, 5, NAN, 2, 3, NAN, 5, 5, NAN, 1],
        ]
    )
    found = stats.krippendorff_alpha(ratings, scale, rng())
    assert found is not None
    assert found[0] == pytest.approx(alpha, abs=1e-12)


def test_alpha_covers_over_units() -> None:
    # Two judges, each with the truth (1 of 2 classes, even) with probability .9, else the other: α → .64 of the
    # population, since P(agree) = .82 and chance is ½.
    source, held = rng(5), 0
    for _ in range(200):
        truth = source.random(120) < 0.5
        ratings = np.array([truth ^ (source.random(120) < 0.1) for _ in range(2)], dtype=float)
        found = stats.krippendorff_alpha(ratings, "nominal", source, draws=399)
        assert found is not None
        held += found[1].low <= 0.64 <= found[1].high
    assert held / 200 >= 0.91


def test_alpha_of_judges_who_always_agree_is_certain_only_with_many_units() -> None:
    few = stats.krippendorff_alpha(np.tile([1.0, 2, 1, 2], (2, 1)), "nominal", rng())
    many = stats.krippendorff_alpha(np.tile(np.arange(60.0) % 3, (2, 1)), "nominal", rng())
    assert few is not None
    assert many is not None
    assert few[0] == many[0] == 1
    assert few[1].low < 0.67 < many[1].low


def test_alpha_of_nothing_is_nothing() -> None:
    assert stats.krippendorff_alpha(np.full((2, 5), NAN), "nominal", rng()) is None
    assert stats.krippendorff_alpha(np.ones((2, 5)), "nominal", rng()) is None
    assert stats.krippendorff_alpha(np.array([[1.0, NAN], [NAN, 2.0]]), "nominal", rng()) is None
