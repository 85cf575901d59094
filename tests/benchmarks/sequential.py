"""Model calls until a verdict: sequential stopping against the n that is planned for a difference of 2 points.

The simulated audits go through the functions that evaluations use; some are run again as whole evaluations,
and must ask as often and come to the same verdict.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from auditor.policies.rules import Demand, Measurement, Outcome, judge
from evaluations import catalogue, stats
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.engine import sequential
from evaluations.engine.stop_early import StopEarly
from evaluations.spec import Modality
from tests.evaluations import make

LIMITS, APART = (0.1, 0.5, 0.9), 0.05
PLANNED, POWER, AUDITS, WHOLE = 0.02, 0.9, 2000, 3
NO_ERRORS = 0.02  # the share of unanswered rows that is allowed; there are none
VERDICTS = {1: Outcome.PASS, 0: Outcome.INCONCLUSIVE, -1: Outcome.FAIL}


def measure() -> dict[str, Any]:
    ratios: dict[str, float] = {}
    wrong: dict[str, float] = {}
    calls: dict[str, float] = {}
    agreed = []
    rng = np.random.default_rng(20)
    for limit in LIMITS:
        rule, fixed = StopEarly(limit=limit), stats.n_for_effect(limit * (1 - limit), PLANNED, POWER)
        calls[f"fixed {limit}"] = fixed
        for truth in (limit - APART, limit + APART):
            outcomes, stops, verdicts = simulated(rng, rule, truth, fixed)
            ratios[f"{truth:.2f} against {limit}"] = round(float(np.median(fixed / stops)), 2)
            calls[f"{truth:.2f} against {limit}"] = float(np.median(stops))
            agreed.append((verdicts == by_fixed_n(outcomes, limit)).mean())
            for audit in range(WHOLE):
                as_evaluation(outcomes[audit], rule, int(stops[audit]), int(verdicts[audit]))
        outcomes, stops, verdicts = simulated(rng, rule, limit, fixed)
        wrong[str(limit)] = float((verdicts != 0).mean())
        as_evaluation(outcomes[0], rule, int(stops[0]), int(verdicts[0]))
    return {
        "what": f"accuracy against a limit, truth {APART:.0%} away; fixed n for {PLANNED:.0%} at power {POWER}; "
        f"{AUDITS} audits each; share of wrong verdicts with the truth at the limit",
        "ratio": min(ratios.values()),
        "ratios": ratios,
        "median_calls": calls,
        "wrong_verdicts": max(wrong.values()),
        "wrong_verdicts_by_limit": wrong,
        "verdicts_as_with_fixed_n": round(float(np.min(agreed)), 4),
        "equal": bool(np.min(agreed) >= 0.99),
    }


def simulated(
    rng: np.random.Generator, rule: StopEarly, truth: float, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes (AUDITS, n), how many rows each audit asks, and its verdict: 1 above, −1 below, 0 neither."""
    outcomes: np.ndarray = (rng.random((AUDITS, n), dtype=np.float32) < truth).astype(np.float32)
    stops = sequential.stop_of(rule, outcomes, NO_ERRORS)
    hits = np.cumsum(outcomes == 1, axis=1)[np.arange(AUDITS), stops - 1]
    clear = sequential.settled(rule, hits, np.zeros_like(hits), stops, NO_ERRORS)
    return outcomes, stops, np.where(clear, np.sign(hits - rule.limit * stops), 0)


def by_fixed_n(outcomes: np.ndarray, limit: float) -> np.ndarray:
    """Verdicts of Wilson's interval of all rows."""
    n = outcomes.shape[1]
    ends = {int(k): stats.wilson(int(k), n) for k in np.unique(outcomes.sum(axis=1))}
    found = [ends[int(k)] for k in outcomes.sum(axis=1)]
    verdicts: np.ndarray = np.array([int(e.low >= limit) - int(e.high < limit) for e in found])
    return verdicts


def as_evaluation(outcomes: np.ndarray, rule: StopEarly, stop: int, verdict: int) -> None:
    """Runs and merges quality.classification on a model with these outcomes, judged by the policy's rule."""
    evaluation = catalogue.get("quality.classification")
    table = make.frame(len(outcomes))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)

        def asked() -> Any:
            data = make.data_ref(table, folder)
            return make.request(evaluation.name, data, stop_early=rule.model_dump())

        request = asked()
        data = dataset.read(request.data, Modality.TABULAR)
        right: np.ndarray = np.empty(len(table), dtype=bool)
        right[sequential.seeded_order(data, Context(request, folder))] = outcomes == 1
        table["label"] = np.where((table.x > 0) == right, "yes", "no")
        model = make.Answering(make.logistic)
        result = make.evaluate(evaluation, model, asked(), folder)
    accuracy = result.metrics[0]
    assert accuracy.interval is not None
    measured = Measurement(accuracy.value, accuracy.interval.low, accuracy.interval.high, accuracy.n)
    judged = judge(Demand(">=", rule.limit, "interval", 1), measured)
    assert model.usage.queries == result.coverage.attempted == stop, (
        "the evaluation asks another number of rows"
    )
    assert judged.outcome is VERDICTS[verdict], "the evaluation comes to another verdict"
