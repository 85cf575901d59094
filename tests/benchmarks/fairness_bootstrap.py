"""Group selection rates and their bootstrap: multinomial over cells against fairlearn's resampling of rows."""

from __future__ import annotations

from typing import Any

import fairlearn.metrics as fl
import numpy as np

from evaluations import stats
from tests.benchmarks.pairing import alternate

ROWS, DRAWS = 5_000, 100
RATES = {"Female": 0.08, "Male": 0.26}
QUANTILES = [0.025, 0.975]


def measure() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    groups = rng.choice(list(RATES), ROWS, p=[0.33, 0.67])
    chosen = (rng.random(ROWS) < np.vectorize(RATES.get)(groups)).astype(int)
    truth = rng.integers(0, 2, ROWS)
    cells = np.array([[((groups == g) & (chosen == c)).sum() for c in (0, 1)] for g in sorted(RATES)])

    def ratio(drawn: np.ndarray) -> np.ndarray:
        rates = drawn[..., 1] / drawn.sum(axis=-1)
        return np.asarray(rates.min(axis=-1) / rates.max(axis=-1))

    def by_cells(seed: int = 0, draws: int = DRAWS) -> np.ndarray:
        return np.quantile(stats.cell_bootstrap(cells, ratio, np.random.default_rng(seed), draws), QUANTILES)

    def by_rows(seed: int = 0) -> np.ndarray:
        frame = fl.MetricFrame(
            metrics=fl.selection_rate,
            y_true=truth,
            y_pred=chosen,
            sensitive_features=groups,
            n_boot=DRAWS,
            ci_quantiles=QUANTILES,
            random_state=seed,
        )
        return np.array(frame.ratio_ci())

    point = fl.demographic_parity_ratio(truth, chosen, sensitive_features=groups)
    assert abs(float(ratio(cells)) - point) <= 1e-12, "the point values differ"
    # Both sides are random: theirs must lie within four standard deviations of what so many draws give.
    exact = by_cells(draws=20_000)
    spread = np.std([by_cells(seed) for seed in range(200)], axis=0)
    away = np.abs(by_rows() - exact) / spread
    assert (away < 4).all(), f"the intervals differ by {away} standard deviations of {DRAWS} draws"
    return {
        "what": f"{ROWS} rows, {DRAWS} draws, selection rate ratio of two groups",
        "equal": True,
        "interval": [round(float(x), 4) for x in exact],
        **alternate(by_cells, by_rows, runs=5),
    }
