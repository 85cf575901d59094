"""The half of robustness.tabular_shift that judges a regressor: paired rises of the absolute error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from evaluations import records, stats
from evaluations.data.columns import LARGEST
from evaluations.predicting import Predicted
from evaluations.records import not_estimable, too_many_errors
from evaluations.robustness.tabular_shift_asking import NUMBERS, sample
from evaluations.robustness.tabular_shift_changes import Shifter
from evaluations.robustness.tabular_shift_names import Shift
from evaluations.robustness.tabular_shift_scores import at_once, columns_of, coverage_of, worst
from evaluations.spec import Coverage, EvaluationError, Interval, Metric, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.tabular_shift import ShiftParams


@dataclass(frozen=True)
class Numbers:
    """Predictions for the rows as they are, then for each shift, ascending by id."""

    shifts: list[Shift]
    versions: list[Predicted]
    clusters: NDArray[np.str_] | None

    @property
    def n(self) -> int:
        return self.versions[0].n

    def coverage(self) -> Coverage:
        return coverage_of(np.column_stack([~version.errors for version in self.versions]))


def collect(states: Sequence[ShardState], data: Dataset, params: ShiftParams, ctx: Context) -> Numbers:
    """The records, checked. Raises `bad_records` for what no honest run writes."""
    rows, shifts = sample(data, params, ctx), Shifter(data, ctx).possible(params)
    clean, shifted = columns_of(records.join(states, NUMBERS, data, rows), len(shifts))
    order = records.rows_by_id(data, rows)
    truth, versions = data.numeric_truth[order], []
    for column in (clean, *shifted):
        values = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
        errors = np.isnan(values)
        if (np.abs(values[~errors]) > LARGEST).any():
            raise EvaluationError("bad_records", "A record holds a value that is no number. Run it again.")
        versions.append(Predicted(order, truth, values, errors, None, None))
    return Numbers(shifts, versions, None if data.clusters is None else data.clusters[order])


def measure(numbers: Numbers, params: ShiftParams) -> list[Metric]:
    """Every metric of robustness.tabular_shift that a regressor has."""
    shifts, n = numbers.shifts, numbers.n
    clean = numbers.versions[0]
    reason = too_many_errors(int(clean.errors.sum()), n, params.max_error_rate)
    if reason:
        return [
            *(not_estimable(name, n, reason) for name in ("clean_error", "worst_error_rise")),
            *(not_estimable("error_rise", n, reason, f"shift={shift.name}") for shift in shifts),
        ]
    found = [_of("clean_error", "all", _error(clean, "best"), _error(clean, "worst"), clean.errors, numbers)]
    why, simultaneous = {}, []
    for shift, version in zip(shifts, numbers.versions[1:], strict=True):
        part, missing = f"shift={shift.name}", clean.errors | version.errors
        why[shift] = too_many_errors(int(missing.sum()), n, params.max_error_rate)
        if why[shift]:
            found.append(not_estimable("error_rise", n, why[shift], part))
            continue
        best = _error(version, "best") - _error(clean, "worst")
        worst_case = _error(version, "worst") - _error(clean, "best")
        metric = _of("error_rise", part, best, worst_case, missing, numbers)
        found.append(metric)
        level = at_once(len(shifts))
        interval = _interval(best, worst_case, float(best[~missing].mean()), numbers, level)
        simultaneous.append((float(best[~missing].mean()), interval))
    return [*found, worst("worst_error_rise", simultaneous, why, n)]


def _error(version: Predicted, how: Literal["worst", "best"]) -> NDArray[np.float64]:
    return np.abs(version.filled(how) - version.truth)


def _of(
    name: str,
    part: str,
    best: NDArray[np.float64],
    worst_case: NDArray[np.float64],
    missing: NDArray[np.bool_],
    numbers: Numbers,
) -> Metric:
    value = float(best[~missing].mean())
    interval = _interval(best, worst_case, value, numbers, stats.LEVEL)
    if interval is not None and name == "clean_error":
        interval = interval.model_copy(update={"low": max(0.0, interval.low)})
    return Metric(name=name, value=value, interval=interval, n=numbers.n, slice=part)


def _interval(
    best: NDArray[np.float64], worst_case: NDArray[np.float64], value: float, numbers: Numbers, level: float
) -> Interval | None:
    """A row without an answer is exactly right in the one end, and as far off as any in the other."""
    low, high = (stats.mean_interval(side, level, numbers.clusters) for side in (best, worst_case))
    return stats.spanning(low, high, value) if low and high else None
