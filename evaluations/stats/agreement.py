"""How far judges agree beyond chance: Cohen's kappa of two, Krippendorff's alpha of any number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from evaluations.spec import Interval
from evaluations.stats.constants import DRAWS, LEVEL, z_of
from evaluations.stats.proportions import wilson
from evaluations.stats.resampling import percentile

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scale = Literal["nominal", "ordinal", "interval"]


def cohens_kappa(table: NDArray[np.int64], level: float = LEVEL) -> tuple[float, Interval] | None:
    """κ = (p_o − p_e)/(1 − p_e) of a (K, K) table of counts, one judge down, the other across.

    Cohen 1960; large-sample variance of Fleiss, Cohen & Everitt 1969, Psych. Bull. 72:323. Where all agree that
    variance is 0: then Wilson bounds of p_o at the same p_e. None where both judges used one and the same class.
    """
    n = int(table.sum())
    if n == 0:
        return None
    p = table / n
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    agreed, chance = float(np.trace(p)), float(rows @ columns)
    if chance >= 1:
        return None
    kappa = (agreed - chance) / (1 - chance)
    if agreed >= 1:
        found = wilson(n, n, level)
        low = (found.low - chance) / (1 - chance)
        return kappa, Interval(low=low, high=1.0, method="kappa_wilson", level=level)
    diagonal = np.diag(p) * ((1 - chance) - (rows + columns) * (1 - agreed)) ** 2
    off = p * (rows[None, :] + columns[:, None]) ** 2 * (1 - agreed) ** 2
    total = diagonal.sum() + off.sum() - np.trace(off) - (agreed * chance - 2 * chance + agreed) ** 2
    half = z_of(level) * math.sqrt(max(0.0, float(total)) / n) / (1 - chance) ** 2
    low, high = max(-1.0, kappa - half), min(1.0, kappa + half)
    return kappa, Interval(low=min(low, kappa), high=max(high, kappa), method="kappa_delta", level=level)


def krippendorff_alpha(
    ratings: NDArray[np.float64],
    scale: Scale,
    rng: np.random.Generator,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> tuple[float, Interval] | None:
    """α = 1 − observed/expected disagreement of (judges, units) ratings, NaN where a judge gave none.

    Krippendorff 2019, Content Analysis, 4th ed., ch. 12; percentile bootstrap over units. Units with
    fewer than two ratings say nothing. Where all agree the bootstrap would have no width: then one unit
    more, on which two judges differ, is among those drawn from. None where no unit has two ratings or all
    ratings are the same.
    """
    given = np.isfinite(ratings)
    kept = given.sum(axis=0) >= 2
    ratings, given = ratings[:, kept], given[:, kept]
    values, counts = np.unique(ratings[given], return_counts=True)
    if len(values) < 2:
        return None
    units = _by_unit(ratings, values, scale)
    alpha = float(_alpha(units.sum(axis=0)[None], values, scale)[0])
    if alpha >= 1 - 1e-12:
        often = values[np.sort(np.argsort(-counts, kind="stable")[:2])]
        units = np.concatenate([units, _by_unit(often[:, None], values, scale)])
    n = len(units)
    step = max(1, 2_000_000 // max(n, units.shape[1]))
    found = []
    for start in range(0, draws, step):
        times = rng.multinomial(n, np.full(n, 1 / n), size=min(step, draws - start))
        found.append(_alpha(times @ units, values, scale))
    low, high = percentile(np.concatenate(found), level)
    return alpha, Interval(
        low=min(low, alpha), high=max(high, alpha), method="bootstrap_over_units", level=level
    )


def _by_unit(ratings: NDArray[np.float64], values: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    """(U, …) what α needs of each unit, to be added up over units.

    Interval scale: number of ratings, their sum, sum of squares, and disagreement over all ordered pairs / (m − 1).
    Otherwise the (K, K) coincidences of values, flat: pairs within the unit, each weighing 1/(m − 1).
    """
    given = np.isfinite(ratings)
    m = given.sum(axis=0).astype(np.float64)
    if scale == "interval":
        filled = np.where(given, ratings, 0.0)
        total, squares = filled.sum(axis=0), (filled**2).sum(axis=0)
        return np.column_stack([m, total, squares, 2 * (m * squares - total**2) / (m - 1)])
    k = len(values)
    cells = (np.arange(ratings.shape[1]) * k + np.searchsorted(values, ratings))[given]
    counts = np.bincount(cells, minlength=ratings.shape[1] * k).reshape(-1, k).astype(np.float64)
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs[:, np.arange(k), np.arange(k)] -= counts
    return np.asarray((pairs / (m - 1)[:, None, None]).reshape(-1, k * k))


def _alpha(sums: NDArray[np.float64], values: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    """(b, …) sums over units to (b,); NaN where nothing can disagree."""
    if scale == "interval":
        n, total, squares, observed = sums.T
        expected = 2 * (n * squares - total**2) / (n - 1)
        possible = expected > 1e-12 * n * squares
    else:
        k = len(values)
        pairs = sums.reshape(-1, k, k)
        n_c = pairs.sum(axis=-1)
        distance = 1.0 - np.eye(k)[None] if scale == "nominal" else _ordinal(n_c)
        observed = (pairs * distance).sum(axis=(-2, -1))
        expected = (n_c[:, :, None] * n_c[:, None, :] * distance).sum(axis=(-2, -1)) / (n_c.sum(axis=-1) - 1)
        possible = expected > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(possible, 1 - observed / expected, np.nan))


def _ordinal(n_c: NDArray[np.float64]) -> NDArray[np.float64]:
    """(b, K) counts to (b, K, K) squared distances: (Σ_{g=c}^{k} n_g − (n_c + n_k)/2)²."""
    middle = np.cumsum(n_c, axis=-1) - n_c / 2
    return np.asarray((middle[:, :, None] - middle[:, None, :]) ** 2)
