"""No default passes by failing to reject: fewer examples never make a pass more likely, by the policy's own rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from auditor.policies.rules import Demand, Measurement, Outcome, judge
from evaluations import stats
from evaluations.spec import Interval

OfRows = Callable[[np.ndarray], Interval | None]


def of_hits(make: Callable[[int, int], Interval]) -> OfRows:
    return lambda rows: make(int(rows.sum()), len(rows))


def against_parent(rows: np.ndarray) -> Interval:
    """Rows 1, 0 and −1: this version alone right, no difference, the parent alone right."""
    return stats.paired_proportions(rows == 1, rows == -1).interval


def clustered(rows: np.ndarray) -> Interval:
    return stats.proportion(rows.astype(bool), np.arange(len(rows)) // 4).interval


def outcome(rows: np.ndarray, interval_of: OfRows, demand: Demand) -> Outcome:
    interval = interval_of(rows)
    low, high = (interval.low, interval.high) if interval else (None, None)
    return judge(demand, Measurement(float(rows.mean()), low, high, len(rows))).outcome


def hits(rng: np.random.Generator, truth: float, n: int) -> np.ndarray:
    return rng.random(n) < truth


def scores(rng: np.random.Generator, truth: float, n: int) -> np.ndarray:
    return rng.beta(4 * truth, 4 * (1 - truth), n)


def changes(rng: np.random.Generator, truth: float, n: int) -> np.ndarray:
    return rng.choice([1, 0, -1], n, p=[0.1 + truth / 2, 0.8, 0.1 - truth / 2])


CASES = [
    pytest.param(hits, of_hits(stats.wilson), ">=", 0.8, (0.6, 0.98), id="wilson"),
    pytest.param(hits, of_hits(stats.clopper_pearson), "<=", 0.05, (0.001, 0.15), id="clopper_pearson"),
    pytest.param(hits, of_hits(stats.bernoulli_sequence), ">=", 0.8, (0.6, 0.98), id="bernoulli_sequence"),
    pytest.param(hits, clustered, ">=", 0.8, (0.6, 0.98), id="clustered"),
    pytest.param(scores, stats.mean_interval, ">=", 0.5, (0.4, 0.62), id="t"),
    pytest.param(scores, stats.betting_sequence, ">=", 0.5, (0.4, 0.62), id="betting_sequence"),
    pytest.param(changes, against_parent, ">=", -0.05, (-0.15, 0.1), id="newcombe_paired"),
]


@pytest.mark.parametrize(("draw", "interval_of", "comparison", "limit", "truths"), CASES)
def test_halving_the_examples_never_makes_a_pass_more_likely(
    draw: Callable[[np.random.Generator, float, int], np.ndarray],
    interval_of: OfRows,
    comparison: str,
    limit: float,
    truths: tuple[float, float],
) -> None:
    rng = np.random.default_rng(17)
    demand = Demand(comparison, limit, "interval", 1)  # type: ignore[arg-type]
    for n in (40, 160):
        gained = lost = wrongly = 0
        for _ in range(500):
            rows = draw(rng, float(rng.uniform(*truths)), n)
            half = outcome(rows[: n // 2], interval_of, demand)
            whole = outcome(rows, interval_of, demand)
            gained += half is Outcome.PASS and whole is not Outcome.PASS
            lost += whole is Outcome.PASS and half is not Outcome.PASS
            wrongly += outcome(draw(rng, limit, n // 2), interval_of, demand) is Outcome.PASS
        assert gained <= lost, f"n = {n}: halving turned {gained} into a pass and {lost} out of one"
        assert wrongly / 500 <= 0.05, f"n = {n // 2}: {wrongly} of 500 pass with the truth at the limit"


def test_one_example_passes_nothing() -> None:
    demand = Demand(">=", 0.5, "interval", 1)
    for interval_of in (of_hits(stats.wilson), of_hits(stats.bernoulli_sequence), stats.mean_interval):
        assert outcome(np.array([1.0]), interval_of, demand) is not Outcome.PASS
