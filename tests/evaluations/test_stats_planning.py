"""Planning against statsmodels' power solvers, exact bounds and seeded simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.power import normal_power

from evaluations import stats


@pytest.mark.parametrize(("p", "effect", "power"), [(0.5, 0.02, 0.9), (0.1, 0.02, 0.9), (0.9, 0.05, 0.8)])
def test_n_for_an_effect_equals_statsmodels(p: float, effect: float, power: float) -> None:
    # Its solver counts both tails; the far one is below 1e-6 here. Ratio 0: one sample.
    from statsmodels.stats.power import NormalIndPower

    theirs = NormalIndPower().solve_power(effect / math.sqrt(p * (1 - p)), alpha=0.05, power=power, ratio=0)
    assert stats.n_for_effect(p * (1 - p), effect, power) == math.ceil(theirs)


def test_effect_and_n_are_inverse() -> None:
    effect = stats.detectable_effect(1234, 0.2, 0.9)
    assert stats.n_for_effect(0.2, effect, 0.9) == 1234
    assert stats.smallest_detectable_effect(1234, 0.9, 0.5) == pytest.approx(
        stats.detectable_effect(1234, 0.25, 0.9)
    )
    power = normal_power(effect / math.sqrt(0.2), 1234, 0.05)
    assert power == pytest.approx(0.9, abs=1e-6)


def test_planned_pairs_find_the_effect_as_often_as_planned() -> None:
    rng = np.random.default_rng(1)
    first_alone, second_alone = 0.12, 0.07
    n = stats.n_for_effect(stats.paired_variance(first_alone, second_alone), 0.05, 0.8)
    found = 0
    for b, c, _ in rng.multinomial(n, [first_alone, second_alone, 0.81], size=1500):
        interval = stats.newcombe_paired((n - b - c) / 2, b, c, (n - b - c) / 2)
        found += interval.low > 0
    assert found / 1500 == pytest.approx(0.8, abs=0.035)


def test_variance_of_paired_answers_is_that_of_their_differences() -> None:
    differences = np.repeat([1.0, -1.0, 0.0], [12, 7, 81])
    assert stats.paired_variance(0.12, 0.07) == pytest.approx(differences.var())


@pytest.mark.parametrize(("rate", "n"), [(0.05, 72), (0.01, 368), (0.001, 3688)])
def test_examples_without_events_that_bound_a_rate(rate: float, n: int) -> None:
    assert stats.n_without_events(rate) == n
    # 368 and 3,688 are rounded up from 367.04 and 3,687.04: one less just misses.
    assert stats.clopper_pearson(0, n).high <= rate < stats.clopper_pearson(0, n - 1).high


def test_repeats_are_split_into_between_and_within() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(scale=0.3, size=(4000, 1)) + rng.normal(scale=0.5, size=(4000, 6))
    between, within = stats.repeat_components(scores)
    assert (between, within) == pytest.approx((0.09, 0.25), rel=0.06)
    # For a balanced design the planned variance is exactly that of the question means.
    assert stats.repeated_mean_variance(between, within, 4000, 6) == pytest.approx(
        scores.mean(axis=1).var(ddof=1) / 4000
    )


def test_repeats_of_questions_that_do_not_differ_have_no_variance_between() -> None:
    between, within = stats.repeat_components(np.tile([0.0, 1.0], (50, 1)))
    assert (between, within) == (0, 0.5)
