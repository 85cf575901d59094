"""The numbers of quality.regression_task: point values as scikit-learn defines them, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from evaluations import stats
from evaluations.predicting import Predicted
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Interval, Metric, MetricStatus, Role
from evaluations.stats.sums import intervals_of_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.quality.regression_task import RegressionParams

AVERAGED = ("mae", "rmse", "r2", "pinball")
ENDS: tuple[Literal["best", "worst"], ...] = ("best", "worst")
ALONE = (*AVERAGED, "signed_error", "interval_coverage", "interval_width")


def measure(predicted: Predicted, data: Dataset, params: RegressionParams, ctx: Context) -> list[Metric]:
    """Every metric of quality.regression_task."""
    clusters = None if data.clusters is None else data.clusters[predicted.rows]
    slices = [(column, data.groups(column)[predicted.rows]) for column in data.ref.columns(Role.SENSITIVE)]
    reason = too_many_errors(int(predicted.errors.sum()), predicted.n, params.max_error_rate)
    if reason:
        found = [not_estimable(name, predicted.n, reason) for name in ALONE]
        return found + [
            not_estimable("group_signed_error", int((names == g).sum()), reason, f"{column}={g}")
            for column, names in slices
            for g in np.unique(names)
        ]
    return [
        *_averaged(predicted, clusters, params.quantile, ctx),
        _signed("signed_error", "all", predicted, clusters),
        *(
            _group(predicted, clusters, names == g, f"{column}={g}", params.smallest_group)
            for column, names in slices
            for g in np.unique(names)
        ),
        *_bounds(predicted, clusters, params.half_width),
    ]


# --- functions of sums ------------------------------------------------------------------------------


def sums_of(truth: NDArray[np.float64], answer: NDArray[np.float64], quantile: float) -> NDArray[np.float64]:
    """(n, 6): 1, |e|, e², the pinball loss, y and y² of each row, y about its mean so that y² keeps its digits."""
    missed, centred = truth - answer, truth - truth.mean()
    pinball = np.maximum(quantile * missed, (quantile - 1) * missed)
    return np.column_stack([np.ones(len(truth)), np.abs(missed), missed**2, pinball, centred, centred**2])


def of_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(b, 6) sums to (b, 4): MAE, RMSE, R² (NaN where the truth is constant), pinball loss."""
    n, absolute, squared, pinball, y, y2 = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = y2 - y**2 / n
        r2 = np.where(spread > 1e-12 * np.maximum(y2, 1e-300), 1 - squared / spread, np.nan)
        return np.stack([absolute / n, np.sqrt(squared / n), r2, pinball / n], axis=-1)


def _averaged(
    predicted: Predicted, clusters: NDArray[np.str_] | None, quantile: float, ctx: Context
) -> list[Metric]:
    answered = predicted.answered()
    value = of_sums(sums_of(answered.truth, answered.values, quantile).sum(axis=0)[None])[0]
    ends = {
        how: intervals_of_sums(
            _by_unit(_filled_sums(predicted, how, quantile), clusters),
            of_sums,
            ctx.rng("bootstrap:errors"),
        )
        for how in ENDS[: 2 if predicted.errors.any() else 1]
    }
    best, worst = ends["best"], ends.get("worst", ends["best"])
    found = []
    for m, name in enumerate(AVERAGED):
        if not np.isfinite(value[m]):
            reason = "All true values are the same: add examples with other ones."
            found.append(not_estimable(name, predicted.n, reason))
            continue
        low, high = (worst[m], best[m]) if name == "r2" else (best[m], worst[m])
        interval = stats.spanning(low, high, float(value[m])) if low and high else None
        if interval is not None:  # an error is not below 0, R² not above 1
            bound = {"high": min(1.0, interval.high)} if name == "r2" else {"low": max(0.0, interval.low)}
            interval = interval.model_copy(update=bound)
        found.append(Metric(name=name, value=float(value[m]), interval=interval, n=predicted.n))
    return found


def _filled_sums(predicted: Predicted, how: Literal["best", "worst"], quantile: float) -> NDArray[np.float64]:
    """Sums with missing answers filled in. At worst the pinball loss is that of the dearer end, near or far."""
    sums = sums_of(predicted.truth, predicted.filled(how), quantile)
    for end in predicted.seen if how == "worst" else ():
        at_end = np.where(predicted.errors, end, predicted.values)
        sums[:, 3] = np.maximum(sums[:, 3], sums_of(predicted.truth, at_end, quantile)[:, 3])
    return sums


def _by_unit(sums: NDArray[np.float64], clusters: NDArray[np.str_] | None) -> NDArray[np.float64]:
    """Sums over the rows of each cluster; the rows themselves where they are independent."""
    if clusters is None:
        return sums
    codes, count = stats.cluster_codes(clusters)
    found = np.zeros((count, sums.shape[1]))
    np.add.at(found, codes, sums)
    return found


# --- leaning, bounds ---------------------------------------------------------------------------------


def _signed(name: str, part: str, predicted: Predicted, clusters: NDArray[np.str_] | None) -> Metric:
    """Mean of answer − truth; rows without an answer lie at either end of what was seen."""
    known = ~predicted.errors
    value = float((predicted.values - predicted.truth)[known].mean())
    ends = [
        stats.mean_interval(np.where(known, predicted.values, end) - predicted.truth, clusters=clusters)
        for end in predicted.seen
    ]
    low, high = ends
    interval = stats.spanning(low, high, value) if low and high and low.low < high.high else None
    return Metric(name=name, value=value, interval=interval, n=predicted.n, slice=part)


def _group(
    predicted: Predicted,
    clusters: NDArray[np.str_] | None,
    held: NDArray[np.bool_],
    part: str,
    smallest: int,
) -> Metric:
    name, n = "group_signed_error", int(held.sum())
    if n < smallest:
        reason = f"Only {n} examples: fewer than {smallest}."
        return Metric(name=name, value=None, n=n, slice=part, status=MetricStatus.SUPPRESSED, reason=reason)
    within = Predicted(
        predicted.rows[held],
        predicted.truth[held],
        predicted.values[held],
        predicted.errors[held],
        None,
        None,
    )
    if within.errors.all():
        return not_estimable(name, n, "The model gave no answer for this group.", part)
    return _signed(name, part, within, None if clusters is None else clusters[held])


def _bounds(
    predicted: Predicted, clusters: NDArray[np.str_] | None, half_width: float | None
) -> list[Metric]:
    low, high = predicted.low, predicted.high
    if low is None or high is None:
        if half_width is None:
            reason = "The model states no bounds, and the parameters name no margin (half_width)."
            return [
                not_estimable(name, predicted.n, reason) for name in ("interval_coverage", "interval_width")
            ]
        low, high = predicted.values - half_width, predicted.values + half_width
    known = ~predicted.errors
    inside = np.nan_to_num(low) <= predicted.truth
    inside &= predicted.truth <= np.nan_to_num(high)
    covered = stats.proportion(inside & known, clusters, known)
    width = (high - low)[known]
    interval: Interval | None = None
    if width.std() > 0 and known.all():
        interval = stats.mean_interval(width, clusters=clusters)
    return [
        Metric(
            name="interval_coverage",
            value=covered.value,
            interval=covered.interval,
            n=covered.n,
            n_effective=covered.n_effective,
        ),
        Metric(name="interval_width", value=float(width.mean()), interval=interval, n=predicted.n),
    ]
