"""Attacks on membership: what each makes of a model's answers. Higher scores speak for a member."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluations.privacy import input_features
from evaluations.privacy.membership_parts import FIT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset
    from evaluations.privacy.membership import MembershipParams
    from evaluations.privacy.membership_answers import Rows

Scores = dict[str, "NDArray[np.float64]"]
PRIOR_ROWS = 10  # how many rows of the global mean a class mean is steadied by
FEWEST_FIT = 50  # non-members that a regression is fitted to
QUANTILES = (0.5, 0.9)
NARROWEST = 0.1  # of the spread over all rows: a conditional spread is taken to be no narrower
FARTHEST = 10.0  # standardised scores are cut there before they are combined


def names(rows: Rows) -> tuple[str, ...]:
    """The attacks that these answers allow, in the order in which `scores` gives them."""
    if not rows.answers.graded:
        return ("gap",)
    by_class = ("class_loss",) if rows.answers.classes is not None else ()
    by_token = tuple(name for name in rows.answers.signals or () if name != "loss")
    referred = ("reference_ratio", "rmia") if rows.reference is not None else ()
    return ("loss", *by_class, "quantile", *by_token, *referred, "combined")


def scores(data: Dataset, rows: Rows, params: MembershipParams) -> Scores:
    """Every attack's score of each row, NaN where it has none. What cannot be made has no score at all."""
    if not rows.answers.graded:
        assert rows.answers.right is not None  # only a classifier names classes
        return {"gap": np.where(rows.answers.errors, np.nan, rows.answers.right)}
    outside = (rows.part == FIT) & ~rows.member & ~rows.answers.errors
    found = {"loss": -rows.answers.loss}
    if rows.answers.classes is not None:
        found["class_loss"] = class_calibrated(-rows.answers.loss, rows.answers.classes, outside)
    found["quantile"] = quantile_standardised(
        rows.answers.margin, input_features.compact(data, rows.rows), outside
    )
    signals = rows.answers.signals or {}
    found |= {name: values for name, values in signals.items() if name != "loss"}
    if rows.reference is not None:
        found["reference_ratio"] = rows.reference.loss - rows.answers.loss
        found["rmia"] = rmia(
            np.exp(-rows.answers.loss),
            np.exp(-rows.reference.loss),
            outside & ~rows.reference.errors,
            params.offline_a,
            params.gamma,
        )
    found["combined"] = combined(list(found.values()), rows.member, rows.part == FIT)
    return found


def class_calibrated(
    score: NDArray[np.float64], classes: NDArray[np.int64], outside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The score less the mean of the non-members `outside` of the same class, which PRIOR_ROWS of all steady."""
    if not outside.any():
        return np.full(len(score), np.nan)
    count = int(classes.max(initial=0)) + 1
    n = np.bincount(classes[outside], minlength=count)
    sums = np.bincount(classes[outside], weights=score[outside], minlength=count)
    means = (sums + PRIOR_ROWS * score[outside].mean()) / (n + PRIOR_ROWS)
    return np.asarray(score - means[classes])


def quantile_standardised(
    score: NDArray[np.float64], features: NDArray[np.float64], outside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(score − q_.5)/(q_.9 − q_.5), the quantiles of non-members' scores given input and label, by gradient boosting.

    What the model answers is no condition, only input and true label: its other probabilities would give the
    score away.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    if outside.sum() < FEWEST_FIT:
        return np.full(len(score), np.nan)
    middle, high = (
        HistGradientBoostingRegressor(
            loss="quantile",
            quantile=q,
            max_iter=40,
            max_leaf_nodes=8,
            min_samples_leaf=20,
            early_stopping=False,
            random_state=0,
        )
        .fit(features[outside], score[outside])
        .predict(features)
        for q in QUANTILES
    )
    overall = np.subtract(*np.quantile(score[outside], QUANTILES[::-1]))
    width = np.maximum(high - middle, max(NARROWEST * overall, 1e-9))
    return np.asarray((score - middle) / width)


def rmia(
    p: NDArray[np.float64],
    p_reference: NDArray[np.float64],
    population: NDArray[np.bool_],
    a: float,
    gamma: float,
) -> NDArray[np.float64]:
    """Share of the population z with [p(x|θ)/p(x)]/[p(z|θ)/p(z)] ≥ γ, p(x) = ½·((1 + a)·p(x|reference) + 1 − a)."""
    if not population.any():
        return np.full(len(p), np.nan)
    ratio = p / np.maximum(((1 + a) * p_reference + (1 - a)) / 2, 1e-300)
    below = np.searchsorted(np.sort(ratio[population]), ratio / gamma, side="right")
    return np.where(np.isnan(ratio), np.nan, below / population.sum())


def combined(
    others: list[NDArray[np.float64]], member: NDArray[np.bool_], fit: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Logistic regression of membership on the other attacks' scores, standardised, fitted to the rows `fit`."""
    from sklearn.linear_model import LogisticRegression

    used = [score for score in others if np.isnan(score).mean() < 0.5]
    nothing = np.full(len(member), np.nan)
    if not used:
        return nothing
    table = np.column_stack(used)
    told = np.isfinite(table).all(axis=1)
    taught = fit & told
    if min(int(member[taught].sum()), int((~member)[taught].sum())) < FEWEST_FIT:
        return nothing
    spread = table[taught].std(axis=0)
    centred = (table - table[taught].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    centred = np.clip(centred, -FARTHEST, FARTHEST)
    model = LogisticRegression(max_iter=500).fit(centred[taught], member[taught])
    found = nothing.copy()
    found[told] = model.decision_function(centred[told])
    return found
