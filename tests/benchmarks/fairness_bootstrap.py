"""Group metrics with bootstrap intervals: the multinomial over cells against fairlearn's resampling of rows.

100,000 rows, two sensitive columns crossed, five metrics, percentile intervals of groups, differences and
ratios at the same number of draws. The area under the curve, which is no function of cells, is timed apart.
"""

from __future__ import annotations

import warnings
from typing import Any

import fairlearn.metrics as fl
import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, precision_score, roc_auc_score

from evaluations import stats
from evaluations.stats.ranking import auc_bootstrap
from tests.benchmarks.pairing import alternate

ROWS, DRAWS, RUNS = 100_000, 100, 3
QUANTILES = [0.025, 0.975]
METRICS = {
    "selection_rate": fl.selection_rate,
    "tpr": fl.true_positive_rate,
    "fpr": fl.false_positive_rate,
    "accuracy": accuracy_score,
    "ppv": precision_score,
}


def table(seed: int = 0) -> pd.DataFrame:
    """Truth, score and answer of people of two sexes and four regions, with different base rates."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["Female", "Male"], ROWS, p=[0.4, 0.6])
    region = rng.choice(["North", "East", "South", "West"], ROWS, p=[0.4, 0.3, 0.2, 0.1])
    lift = 0.3 * (sex == "Male") + 0.2 * (region == "West")
    skill = rng.normal(size=ROWS) + lift
    truth = (skill + rng.normal(scale=0.8, size=ROWS) > 0.6).astype(int)
    score = 1 / (1 + np.exp(-skill))
    return pd.DataFrame(
        {"sex": sex, "region": region, "truth": truth, "chosen": (score > 0.6).astype(int), "score": score}
    )


def tabulate(people: pd.DataFrame) -> np.ndarray:
    """Counts (group, truth, answer), groups crossed and in sorted order as fairlearn has them."""
    codes, sizes = np.zeros(len(people), dtype=np.int64), 1
    for column in ("sex", "region"):
        index, names = pd.factorize(people[column], sort=True)
        codes, sizes = codes * len(names) + index, sizes * len(names)
    flat = (codes * 2 + people.truth.to_numpy()) * 2 + people.chosen.to_numpy()
    return np.bincount(flat, minlength=sizes * 4).reshape(sizes, 2, 2)


def rates(cells: np.ndarray) -> np.ndarray:
    """(…, G, 2, 2) counts to (…, 5, G) in the order of METRICS."""
    n, hits = cells.sum(axis=(-2, -1)), cells[..., 1, 1]
    chosen, positive = cells[..., :, 1].sum(axis=-1), cells[..., 1, :].sum(axis=-1)
    false = cells[..., 0, 1]
    return np.stack(
        [
            chosen / n,
            hits / positive,
            false / (n - positive),
            (hits + cells[..., 0, 0]) / n,
            hits / chosen,
        ],
        axis=-2,
    )


def everything(cells: np.ndarray) -> np.ndarray:
    """(…, 5, G + 3): each group's value, the value over all, the difference, the ratio."""
    by_group, overall = rates(cells), rates(cells.sum(axis=-3, keepdims=True))
    low, high = by_group.min(axis=-1, keepdims=True), by_group.max(axis=-1, keepdims=True)
    return np.concatenate([by_group, overall, high - low, low / high], axis=-1)


def by_cells(people: pd.DataFrame, draws: int, seed: int) -> np.ndarray:
    """(2, 5, G + 3) interval ends, the table counted anew."""
    drawn = stats.cell_bootstrap(tabulate(people), everything, np.random.default_rng(seed), draws)
    return np.quantile(drawn, QUANTILES, axis=0)


def layout(by_group: Any, overall: Any, difference: Any, ratio: Any) -> np.ndarray:
    """fairlearn's frames as (5, G + 3)."""
    names = list(METRICS)
    return np.column_stack([by_group[names].to_numpy().T, *(x[names] for x in (overall, difference, ratio))])


def fairlearn_frame(people: pd.DataFrame, **bootstrap: Any) -> fl.MetricFrame:
    return fl.MetricFrame(
        metrics=METRICS,
        y_true=people.truth,
        y_pred=people.chosen,
        sensitive_features=people[["sex", "region"]],
        **bootstrap,
    )


def fairlearn_points(people: pd.DataFrame) -> np.ndarray:
    frame = fairlearn_frame(people)
    return layout(frame.by_group, frame.overall, frame.difference(), frame.ratio())


def by_fairlearn(people: pd.DataFrame, seed: int) -> np.ndarray:
    """(2, 5, G + 3) interval ends by resampling rows."""
    frame = fairlearn_frame(people, n_boot=DRAWS, ci_quantiles=QUANTILES, random_state=seed)
    parts = (frame.by_group_ci, frame.overall_ci, frame.difference_ci(), frame.ratio_ci())
    return np.array([layout(*part) for part in zip(*parts, strict=True)])


def by_rows(people: pd.DataFrame, draws: int = 10_000) -> np.ndarray:
    """(draws, 5, G + 3) by drawing whole rows: the law that both sides stand for."""
    codes, sizes = np.zeros(len(people), dtype=np.int64), 1
    for column in ("sex", "region"):
        index, names = pd.factorize(people[column], sort=True)
        codes, sizes = codes * len(names) + index, sizes * len(names)
    flat = ((codes * 2 + people.truth.to_numpy()) * 2 + people.chosen.to_numpy()).astype(np.int8)
    rng = np.random.default_rng(99)
    counts = np.array(
        [
            np.bincount(flat[rng.integers(0, ROWS, ROWS, dtype=np.int32)], minlength=sizes * 4)
            for _ in range(draws)
        ]
    )
    return everything(counts.reshape(draws, sizes, 2, 2))


def measure() -> dict[str, Any]:
    warnings.simplefilter("ignore")  # fairlearn's own
    people = table()
    difference = np.abs(everything(tabulate(people)) - fairlearn_points(people)).max()
    assert difference <= 1e-12, f"the point values differ by {difference}"
    away = worst_distance(by_cells(people, 9_999, seed=1), by_rows(people))
    assert away <= 3, f"an interval end lies {away:.2f} Monte Carlo standard errors from the row bootstrap's"
    return {
        "what": f"{ROWS} rows, sex x region (8 groups), {len(METRICS)} metrics, {DRAWS} draws",
        "equal": True,
        "furthest_end_in_standard_errors": round(away, 2),
        **alternate(lambda: by_cells(people, DRAWS, seed=0), lambda: by_fairlearn(people, seed=0), RUNS),
        "auc": area_under_the_curve(people),
    }


def worst_distance(ends: np.ndarray, draws: np.ndarray) -> float:
    """How far an end lies from the row bootstrap's, at most, in standard errors of both Monte Carlo samples.

    The standard error of a quantile is √(q(1 − q)/B)/f, f the density there, from the spacing of quantiles
    one percentage point to each side.
    """
    found = []
    for end, q in zip(ends, QUANTILES, strict=True):
        step = 0.01
        below, above = np.quantile(draws, [q - step, q + step], axis=0)
        density = 2 * step / np.maximum(above - below, 1e-15)
        error = np.sqrt(2 * q * (1 - q) / len(draws)) / density
        found.append(np.abs(end - np.quantile(draws, q, axis=0)) / error)
    return float(np.max(found))


def area_under_the_curve(people: pd.DataFrame) -> dict[str, Any]:
    """The same for the area under the curve by region, which needs the rows."""
    groups, names = pd.factorize(people.region, sort=True)
    positive, score = people.truth.to_numpy() == 1, people.score.to_numpy()

    def ours() -> np.ndarray:
        return auc_bootstrap(positive, score, groups.astype(np.int64), np.random.default_rng(0), DRAWS)

    def theirs() -> Any:
        return fl.MetricFrame(
            metrics=roc_auc_score,
            y_true=people.truth,
            y_pred=people.score,
            sensitive_features=people.region,
            n_boot=DRAWS,
            ci_quantiles=QUANTILES,
            random_state=0,
        )

    drawn, frame = ours(), theirs()
    low, high = (np.asarray(end) for end in frame.by_group_ci)
    apart = np.abs((low + high) / 2 - drawn.mean(axis=0))
    assert (apart < drawn.std(axis=0)).all(), "the areas' intervals differ"
    return {
        "what": f"area under the curve in {len(names)} regions, {DRAWS} draws",
        **alternate(ours, theirs, RUNS),
    }
