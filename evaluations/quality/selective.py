"""Risk against the share of examples answered, its area and what of it is avoidable, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from evaluations import stats
from evaluations.scoring import Scored, not_estimable, too_many_errors
from evaluations.spec import Interval, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset
    from evaluations.quality.selective_conformal import SelectiveParams

CURVE_POINTS = 100
RANDOM_ERROR = 2.0  # E[ln²C], C uniform: by how much one wrong answer of random rank inflates the variance


def measure(scored: Scored, data: Dataset, params: SelectiveParams) -> list[Metric]:
    """AURC, E-AURC and the risk at each share answered."""
    shares = [(c, f"coverage={c:.6g}") for c in dict.fromkeys(params.coverages)]
    reason = too_many_errors(scored, params.max_error_rate) if scored.n else "There are no test examples."
    if reason:
        return [
            *(not_estimable(name, scored.n, reason) for name in ("aurc", "e_aurc")),
            *(not_estimable("selective_risk", scored.n, reason, where) for _, where in shares),
        ]
    clusters = None if data.clusters is None else data.clusters[scored.rows]
    return [
        _area("aurc", scored, clusters, aurc, influence),
        _area("e_aurc", scored, clusters, e_aurc, excess_influence),
        *(_risk_at(c, where, scored, clusters) for c, where in shares),
    ]


# --- risk against coverage ------------------------------------------------------------------------


def order_of(scored: Scored) -> NDArray[np.int64]:
    """Rows, most confident first."""
    return np.argsort(-scored.probs.max(axis=1), kind="stable")


def ordered(scored: Scored) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Confidence and loss (1: wrong), most confident first."""
    order = order_of(scored)
    return scored.probs.max(axis=1)[order], (scored.predicted != scored.truth).astype(np.float64)[order]


def averaged(confidence: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each value replaced by the mean of those with the same confidence: what a random order among ties gives."""
    _, index, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    return np.asarray((np.bincount(index, values) / counts)[index])


def risks(confidence: NDArray[np.float64], loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share wrong among the i most confident, i = 1 … n; confidence descending."""
    return np.asarray(np.cumsum(averaged(confidence, loss)) / np.arange(1, len(loss) + 1))


def aurc(confidence: NDArray[np.float64], loss: NDArray[np.float64]) -> float:
    return float(risks(confidence, loss).mean())


def best_aurc(n: int, wrong: int) -> float:
    """AURC* of n answers of which `wrong` are wrong, all of them last."""
    i = np.arange(1, n + 1)
    return float((np.maximum(0, i - (n - wrong)) / i).mean())


def e_aurc(confidence: NDArray[np.float64], loss: NDArray[np.float64]) -> float:
    return max(0.0, aurc(confidence, loss) - best_aurc(len(loss), round(float(loss.sum()))))


def curve(scored: Scored) -> list[tuple[float, float, float]]:
    """At most CURVE_POINTS points (share answered, risk, risk of the best possible order)."""
    if not scored.n:
        return []
    confidence, loss = ordered(scored)
    found = risks(confidence, loss)
    chosen = np.unique(np.ceil(np.linspace(1 / CURVE_POINTS, 1, CURVE_POINTS) * scored.n).astype(int))
    right = scored.n - int(loss.sum())
    return [(int(i) / scored.n, float(found[i - 1]), max(0, int(i) - right) / int(i)) for i in chosen]


# --- intervals ------------------------------------------------------------------------------------


def influence(confidence: NDArray[np.float64], loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each row adds to AURC = E[loss·(−ln C)], C the share at least as confident, to first order.

    loss·(−ln C) + E[loss] − E[loss·1{less confident than the row}/C], centred. Confidence descending.
    """
    n = len(loss)
    even = averaged(confidence, loss)
    share = np.arange(1, n + 1) / n
    weight = special.digamma(n + 1) - special.digamma(np.arange(1, n + 1))  # Σ_{j ≥ i} 1/j ≈ −ln C
    below = np.cumsum((even / share)[::-1])[::-1] / n
    found = loss * averaged(confidence, weight) - averaged(confidence, below)
    return np.asarray(found - found.mean())


def excess_influence(confidence: NDArray[np.float64], loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same for AURC − AURC*, AURC* = p + (1 − p)·ln(1 − p) of the share wrong p."""
    p = min(float(loss.mean()), 1 - 1 / (2 * len(loss)))
    return np.asarray(influence(confidence, loss) + math.log1p(-p) * (loss - loss.mean()))


def _area(
    name: str,
    scored: Scored,
    clusters: NDArray[np.str_] | None,
    statistic: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
    by_row: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
) -> Metric:
    value = statistic(*ordered(scored.answered()))
    ends = []
    for side in (scored.filled("best"), scored.filled("worst")):
        confidence, loss = ordered(side)
        held = None if clusters is None else clusters[order_of(side)]
        ends.append(
            area_interval(statistic(confidence, loss), by_row(confidence, loss), float(loss.sum()), held)
        )
    interval = Interval(
        low=min(value, *(e.low for e in ends)),
        high=max(value, *(e.high for e in ends)),
        method=ends[0].method,
    )
    return Metric(name=name, value=value, interval=interval, n=scored.n)


def area_interval(
    value: float, by_row: NDArray[np.float64], wrong: float, clusters: NDArray[np.str_] | None = None
) -> Interval:
    """Wilson's interval at the n of a proportion with the variance of the area: exact Wilson where all are tied.

    With no wrong answer, or with all wrong, there is no variance to see: then that of one at a random rank.
    """
    n = len(by_row)
    count = n if clusters is None else stats.cluster_codes(clusters)[1]
    worth = count / RANDOM_ERROR
    if 0 < wrong < n and 0 < value < 1 and count > 1:
        variance = float(by_row.var(ddof=1)) / n
        if clusters is not None:
            variance = max(variance, float(by_row.var(ddof=1)) / stats.interval_n(by_row, clusters))
        if variance > 0:
            worth = min(float(n), value * (1 - value) / variance)
    found = stats.wilson(value * worth, worth)
    return found.model_copy(update={"method": "wilson_of_influence"})


def _risk_at(share: float, where: str, scored: Scored, clusters: NDArray[np.str_] | None) -> Metric:
    value, size, _ = _accepted(share, scored.answered())
    low, _, n_low = _accepted(share, scored.filled("best"), clusters)
    high, _, n_high = _accepted(share, scored.filled("worst"), clusters)
    interval = stats.spanning(stats.wilson(low * n_low, n_low), stats.wilson(high * n_high, n_high), value)
    return Metric(name="selective_risk", value=value, interval=interval, n=size, slice=where)


def _accepted(
    share: float, scored: Scored, clusters: NDArray[np.str_] | None = None
) -> tuple[float, int, float]:
    """Risk among the most confident `share`, how many answers that is, and how many they are worth."""
    confidence, loss = ordered(scored)
    size = max(1, math.ceil(share * scored.n - 1e-9))
    value = float(min(1.0, risks(confidence, loss)[size - 1]))
    if clusters is None:
        return value, size, float(size)
    return value, size, stats.interval_n(loss[:size], clusters[order_of(scored)[:size]])
