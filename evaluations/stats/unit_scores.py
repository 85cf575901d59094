"""Means of scores between 0 and 1 that are not all-or-nothing: overlap of texts, shares within an example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.spec import Interval
from evaluations.stats.clustered import Estimate, interval_n
from evaluations.stats.constants import LEVEL
from evaluations.stats.proportions import spanning, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray


def unit_mean(
    values: NDArray[np.float64], clusters: NDArray[Any] | None = None, level: float = LEVEL
) -> Estimate:
    """Mean of (n,) scores in [0, 1] or, with (n, S), of the means of their rows. NaN is a score not known.

    Unknown scores count as 0 in the lower end and as 1 in the upper one. At least one must be known.
    """
    by_row = values.reshape(len(values), -1)
    known = ~np.isnan(by_row)
    some = known.any(axis=1)
    value = float((np.where(known, by_row, 0).sum(axis=1)[some] / known.sum(axis=1)[some]).mean())
    low, n_low = _score_interval(np.where(known, by_row, 0.0).mean(axis=1), clusters, level)
    high, n_high = _score_interval(np.where(known, by_row, 1.0).mean(axis=1), clusters, level)
    return Estimate(value, spanning(low, high, value), len(values), min(n_low, n_high))


def _score_interval(
    scores: NDArray[np.float64], clusters: NDArray[Any] | None, level: float
) -> tuple[Interval, float]:
    """Wilson's interval at as many yes/no rows as give the mean of these scores its variance.

    For scores of 0 and 1 alone it is Wilson's. Scores that vary less than yes/no ones are worth more rows:
    n·p(1 − p)/s², with one 0 and one 1 added before p and s² are taken, so that a failure that happens
    not to be among the rows keeps its weight.
    """
    n = len(scores)
    added: NDArray[np.float64] = np.append(scores, [0.0, 1.0])
    p = float(added.mean())
    worth = n * p * (1 - p) / float(added.var())
    if clusters is not None:
        worth *= interval_n(scores, clusters, level) / n
    found = wilson(float(scores.mean()) * worth, worth, level)
    whole = bool(np.isin(scores, (0.0, 1.0)).all())
    method = ("wilson" if whole else "wilson_mean") + ("_clustered" if clusters is not None else "")
    return found.model_copy(update={"method": method}), worth
