"""Means and proportions of examples that are not independent: several of one passage, one person, one behaviour."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from evaluations.spec import Interval
from evaluations.stats.constants import LEVEL
from evaluations.stats.proportions import clopper_pearson, spanning, wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

Method = Literal["wilson", "clopper_pearson"]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, from n rows that say as much as `n_effective` independent ones."""

    value: float
    interval: Interval
    n: int
    n_effective: float


def cluster_codes(clusters: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """(n,) labels of any kind as codes 0 … C − 1, and C."""
    names, codes = np.unique(np.asarray(clusters).astype(str), return_inverse=True)
    return codes.astype(np.int64), len(names)


def clustered_se(values: NDArray[np.float64], clusters: NDArray[Any]) -> float:
    """Standard error of the mean of (n,) values: √((1/n²)·Σ_c (Σ_{i∈c} (s_i − s̄))²·C/(C − 1)).

    Miller 2024, arXiv 2411.00640, with the correction for few clusters of Liang & Zeger's estimator
    as statsmodels' `cov_type="cluster"` has it. NaN for fewer than two clusters.
    """
    codes, count = cluster_codes(clusters)
    if count < 2:
        return math.nan
    sums = np.bincount(codes, weights=values - values.mean(), minlength=count)
    return float(math.sqrt((sums**2).sum() * count / (count - 1)) / len(values))


def effective_n(values: NDArray[np.float64], clusters: NDArray[Any]) -> float:
    """How many independent rows (n,) clustered ones are worth: n / max(1, deff), deff = SE_clustered² / (s²/n).

    Kish 1965, Survey Sampling, §8.2. Where all values are the same the design effect cannot be seen:
    then the number of clusters, the least it can be where rows of a cluster agree.
    """
    n, (_, count) = len(values), cluster_codes(clusters)
    variance = float(values.var(ddof=1)) if n > 1 else 0.0
    if count < 2 or variance <= 0:
        return float(count)
    return n / max(1.0, clustered_se(values, clusters) ** 2 / (variance / n))


def interval_n(values: NDArray[np.float64], clusters: NDArray[Any], level: float = LEVEL) -> float:
    """The `effective_n` that an interval goes by: times (t_{n−1}/t_{C−1})², for the design effect is itself a guess.

    Korn & Graubard 1998, Survey Methodology 24:193. Without it Wilson's interval covers 86 % at 4 to 8 clusters.
    Where the design effect cannot be seen there is no guess either, and clusters of one row change nothing.
    """
    n, worth = len(values), effective_n(values, clusters)
    (_, count), tail = cluster_codes(clusters), (1 + level) / 2
    if count < 2 or values.min() == values.max():
        return worth
    return worth * float(special.stdtrit(n - 1, tail) / special.stdtrit(count - 1, tail)) ** 2


def worth_of_rows(
    hits: NDArray[np.bool_], answered: NDArray[np.bool_], clusters: NDArray[Any] | None
) -> float:
    """How many independent rows each of (n,) rows stands for, at most 1: the `worth` of a `Proportion`."""
    if clusters is None or not len(hits):
        return 1.0
    ends = (hits & answered, hits | ~answered)
    return min(1.0, *(interval_n(end.astype(np.float64), clusters) / len(hits) for end in ends))


def proportion(
    hits: NDArray[np.bool_],
    clusters: NDArray[Any] | None = None,
    answered: NDArray[np.bool_] | None = None,
    method: Method = "wilson",
    level: float = LEVEL,
) -> Estimate:
    """Share of hits among the answered rows; all arrays (n,), at least one row answered.

    Wilson or Clopper–Pearson at `interval_n`. A row without an answer counts as no hit in the lower end
    and as a hit in the upper one.
    """
    hits = np.asarray(hits, dtype=bool)
    known = np.ones(len(hits), dtype=bool) if answered is None else np.asarray(answered, dtype=bool)
    value = float(hits[known].mean())
    low, n_low = _at_effective_n(hits & known, clusters, method, level)
    high, n_high = _at_effective_n(hits | ~known, clusters, method, level)
    return Estimate(value, spanning(low, high, value), len(hits), min(n_low, n_high))


def _at_effective_n(
    hits: NDArray[np.bool_], clusters: NDArray[Any] | None, method: Method, level: float
) -> tuple[Interval, float]:
    interval = wilson if method == "wilson" else clopper_pearson
    if clusters is None:
        return interval(int(hits.sum()), len(hits), level), float(len(hits))
    n = interval_n(hits.astype(np.float64), clusters, level)
    found = interval(float(hits.mean()) * n, n, level)
    return found.model_copy(update={"method": f"{found.method}_clustered"}), n
