"""Lists of numbers in records, checked, and means and ratios of what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import stats
from evaluations.names import LONGEST_SHORT
from evaluations.spec import EvaluationError, Interval, Metric
from evaluations.stats.sums import intervals_of_sums

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

LARGEST = 1e9  # an attribution beyond this is no difference of probabilities, whatever its units


def numbers(column: pa.ChunkedArray, low: float = 0.0, high: float = 1.0) -> list[NDArray[np.float64]]:
    """The lists of a column as arrays. Raises `bad_records` for a null, or a number that is not in [low, high]."""
    held = column.combine_chunks()
    flat = held.flatten()
    if held.null_count or flat.null_count:
        raise EvaluationError("bad_records", "A record lacks its numbers. Run it again.")
    values = np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float64)
    if not (np.isfinite(values) & (values >= low - 1e-9) & (values <= high + 1e-9)).all():
        raise EvaluationError(
            "bad_records", "A record holds a number that is out of its bounds. Run it again."
        )
    cuts = np.cumsum(np.asarray(held.value_lengths()))[:-1]
    return list(np.split(np.clip(values, low, high), cuts)) if len(held) else []


def names(column: pa.ChunkedArray) -> list[list[str]]:
    """The names of each example's features, none where they are null."""
    return [[str(name)[:LONGEST_SHORT] for name in held or ()] for held in column.to_pylist()]


def lengths_are(lists: list[NDArray[np.float64]], wanted: NDArray[np.int64]) -> None:
    """Raises `bad_records` where a list has another length than it should."""
    if [len(one) for one in lists] != wanted.tolist():
        raise EvaluationError("bad_records", "A record holds too many or too few numbers. Run it again.")


def mean_within(
    values: NDArray[np.float64],
    low: float,
    high: float,
    clusters: NDArray[Any] | None,
    level: float = stats.LEVEL,
) -> tuple[float, Interval | None]:
    """Mean of (n,) scores in [low, high] and its t interval; at least one is known.

    NaN marks an example without an answer: it counts as `low` in the lower end and as `high` in the upper one.
    """
    known = ~np.isnan(values)
    value = float(values[known].mean())
    ends = [stats.mean_interval(np.where(known, values, filled), level, clusters) for filled in (low, high)]
    if ends[0] is None or ends[1] is None:
        return value, None
    held = stats.spanning(ends[0], ends[1], value)
    held = held.model_copy(update={"low": max(held.low, low), "high": min(held.high, high)})
    return value, held


def mean_correlation(name: str, values: NDArray[np.float64], clusters: NDArray[Any] | None) -> Metric:
    """Mean of (n,) correlations, NaN where unknown: the interval of a bounded mean, which keeps a width where all
    are 1 and nothing is known of how far their mean is off. At least one is known."""
    e = stats.unit_mean(np.clip((1 + values) / 2, 0, 1), clusters)
    interval = e.interval.model_copy(update={"low": 2 * e.interval.low - 1, "high": 2 * e.interval.high - 1})
    return Metric(name=name, value=2 * e.value - 1, interval=interval, n=e.n, n_effective=e.n_effective)


def pooled_ratio(
    above: NDArray[np.float64],
    below: NDArray[np.float64],
    units: NDArray[Any],
    rng: np.random.Generator,
) -> tuple[float, Interval | None]:
    """Σ above / Σ below over (n,) examples in independent `units`; NaN where unknown, Σ below above 0.

    Pooled, since the mean of single ratios is ruled by the smallest denominators, and is above 1 for two draws of
    mere noise: E[1/x] > 1/E[x]. An unknown example has the mean denominator, and above it 0 in the lower end, in
    the upper one the largest seen.
    """
    known = ~np.isnan(above) & ~np.isnan(below)
    value = float(above[known].sum() / below[known].sum())
    level = float(below[known].mean())
    codes, count = stats.cluster_codes(units)
    ends = []
    for filled in (0.0, float(above[known].max())):
        held = np.stack([np.where(known, below, level), np.where(known, above, filled)], axis=1)
        sums = np.stack([np.bincount(codes, held[:, k], count) for k in range(2)], axis=1)
        ends += intervals_of_sums(sums, lambda drawn: drawn[:, 1:] / drawn[:, :1], rng)
    low, high = ends
    return value, None if low is None or high is None else stats.spanning(low, high, value)
