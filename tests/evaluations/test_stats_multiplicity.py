"""Many questions at once: against statsmodels, closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests

from evaluations import stats


@pytest.mark.parametrize("seed", range(5))
def test_adjusted_p_values_equal_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).beta(0.4, 1.5, size=23)
    p[3] = p[7]
    assert stats.holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert stats.benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])


def test_benjamini_and_hochbergs_own_example_rejects_four() -> None:
    # Benjamini & Hochberg 1995: 15 comparisons of thrombolysis trials; Bonferroni-type rejects 3, theirs 4.
    p = np.array(
        [.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .0459, .3240, .4262, .5719, .6528, .7590, 1.0]
    )  # fmt: skip
    assert int((stats.benjamini_hochberg(p) <= 0.05).sum()) == 4
    assert int((stats.holm(p) <= 0.05).sum()) == 3


def test_no_questions_and_one_question() -> None:
    assert stats.holm(np.array([])).size == 0
    assert stats.benjamini_hochberg(np.array([])).size == 0
    assert stats.holm(np.array([0.03]))[0] == stats.benjamini_hochberg(np.array([0.03]))[0] == 0.03


@pytest.mark.parametrize("groups", [1, 4, 12])
def test_critical_value_of_independent_groups_is_sidaks(groups: int) -> None:
    draws = np.random.default_rng(groups).normal(size=(60_000, groups))
    found = stats.max_t(np.zeros(groups), draws)
    assert found.critical == pytest.approx(scipy_stats.norm.ppf((1 + 0.95 ** (1 / groups)) / 2), abs=0.03)


def test_groups_that_are_the_same_need_no_adjustment() -> None:
    draws = np.repeat(np.random.default_rng(0).normal(size=(60_000, 1)), 6, axis=1)
    found = stats.max_t(np.full(6, 2.5), draws + 2.5)
    assert found.critical == pytest.approx(1.96, abs=0.03)
    assert found.p == pytest.approx(2 * scipy_stats.norm.sf(2.5), abs=0.003)


def test_the_worst_of_equal_groups_is_covered_and_its_luckiest_reading_is_not() -> None:
    rng, held, lucky = np.random.default_rng(9), 0, 0
    for _ in range(300):
        hits = rng.binomial(120, 0.7, size=8)
        draws = rng.binomial(120, hits / 120, size=(999, 8)) / 120
        low, high = stats.max_t(hits / 120, draws).smallest()
        held += low <= 0.7 <= high
        worst = stats.wilson(int(hits.min()), 120)
        lucky += worst.low <= 0.7 <= worst.high
    assert held / 300 >= 0.93
    assert lucky / 300 < 0.9


def test_bounds_of_the_largest_mirror_those_of_the_smallest() -> None:
    draws = np.random.default_rng(3).normal(size=(999, 5))
    values = np.arange(5.0)
    up, down = stats.max_t(values, draws + values), stats.max_t(-values, -draws - values)
    low, high = down.smallest()
    assert up.largest() == pytest.approx((-high, -low))


def test_a_group_whose_draws_never_vary_is_named() -> None:
    draws = np.random.default_rng(3).normal(size=(99, 3))
    draws[:, 1] = 1.0
    with pytest.raises(ValueError, match=r"\[1\] never vary"):
        stats.max_t(np.zeros(3), draws)
