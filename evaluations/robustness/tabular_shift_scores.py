"""The half of robustness.tabular_shift that judges a classifier: paired losses of accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import records, stats
from evaluations.records import not_estimable, too_many_errors
from evaluations.robustness.tabular_shift_asking import CLASSES, sample
from evaluations.robustness.tabular_shift_changes import Shifter
from evaluations.robustness.tabular_shift_names import Shift, shifts_of
from evaluations.scoring import labels_of
from evaluations.spec import Coverage, EvaluationError, Interval, Metric, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.tabular_shift import ShiftParams


@dataclass(frozen=True)
class Answers:
    """n rows, ascending by id, as they are and in S shifts."""

    shifts: list[Shift]
    labels: tuple[str, ...]
    rows: NDArray[np.int64]  # row numbers in the data set
    truth: NDArray[np.int64]
    said: NDArray[np.int64]  # (n, 1 + S) classes, of the rows as they are first; −1 without an answer
    clusters: NDArray[np.str_] | None

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def right(self) -> NDArray[np.bool_]:
        return np.asarray(self.said == self.truth[:, None])

    @property
    def answered(self) -> NDArray[np.bool_]:
        return np.asarray(self.said >= 0)

    def coverage(self) -> Coverage:
        return coverage_of(self.answered)


def coverage_of(answered: NDArray[np.bool_]) -> Coverage:
    """A row without an answer as it is has failed. Answers that a shift alone prevents are a finding on the shift."""
    failed = int((~answered[:, 0]).sum())
    return Coverage(attempted=len(answered), scored=len(answered) - failed, failed=failed)


def collect(states: Sequence[ShardState], data: Dataset, params: ShiftParams, ctx: Context) -> Answers:
    """The records, checked. Raises `bad_records` for what no honest run writes."""
    rows, shifts = sample(data, params, ctx), Shifter(data, ctx).possible(params)
    table, labels = records.join(states, CLASSES, data, rows), labels_of(states, ctx)
    clean, shifted = columns_of(table, len(shifts))
    said = np.column_stack([np.asarray(c.fill_null(-1), dtype=np.int64) for c in (clean, *shifted)])
    valid = np.column_stack([np.asarray(c.is_valid()) for c in (clean, *shifted)])
    if ((said < 0) & valid).any() or (said >= len(labels)).any():
        raise EvaluationError("bad_records", "A record names a class that there is not. Run it again.")
    order = records.rows_by_id(data, rows)
    clusters = None if data.clusters is None else data.clusters[order]
    return Answers(shifts, labels, order, data.class_indices(labels)[order], said, clusters)


def columns_of(table: pa.Table, shifts: int) -> tuple[pa.Array, list[pa.Array]]:
    """Answers to the rows as they are, and to each shift."""
    lists = table.column("shifted").combine_chunks()
    if lists.null_count or not (np.asarray(lists.value_lengths()) == shifts).all():
        raise EvaluationError("bad_records", "A record has the wrong number of answers. Run it again.")
    flat = lists.flatten()
    return table.column("clean").combine_chunks(), [
        flat.take(pa.array(np.arange(len(lists)) * shifts + s)) for s in range(shifts)
    ]


def measure(answers: Answers, params: ShiftParams) -> list[Metric]:
    """Every metric of robustness.tabular_shift that a classifier has."""
    shifts = answers.shifts
    reason = too_many_errors(int((~answers.answered[:, 0]).sum()), answers.n, params.max_error_rate)
    if reason:
        return [
            *(not_estimable(name, answers.n, reason) for name in ("clean_accuracy", "worst_drop")),
            *(
                not_estimable(name, answers.n, reason, f"shift={shift.name}")
                for shift in shifts
                for name in ("shifted_accuracy", "drop")
            ),
        ]
    clean = stats.proportion(answers.right[:, 0], answers.clusters, answers.answered[:, 0])
    found, why, simultaneous = [_metric("clean_accuracy", clean)], {}, []
    for s, shift in enumerate(shifts, start=1):
        part = f"shift={shift.name}"
        both = answers.answered[:, 0] & answers.answered[:, s]
        why[shift] = too_many_errors(int((~both).sum()), answers.n, params.max_error_rate)
        if why[shift]:
            found += [not_estimable(n, answers.n, why[shift], part) for n in ("shifted_accuracy", "drop")]
            continue
        shifted = stats.proportion(answers.right[:, s], answers.clusters, answers.answered[:, s])
        pairs = answers.right[:, 0], answers.right[:, s], answers.clusters, both
        found.append(_metric("shifted_accuracy", shifted, part))
        found.append(_metric("drop", stats.paired_proportions(*pairs), part))
        simultaneous.append(stats.paired_proportions(*pairs, at_once(len(shifts))))
    values = [(estimate.value, estimate.interval) for estimate in simultaneous]
    return [*found, worst("worst_drop", values, why, answers.n)]


def at_once(count: int) -> float:
    """The level at which each of `count` intervals stands, that all hold together."""
    return 1 - (1 - stats.LEVEL) / count


def worst(name: str, found: Sequence[tuple[float, Interval | None]], why: dict[Shift, str], n: int) -> Metric:
    """The largest value, between the largest of the lower ends and the largest of the upper ones.

    Where one shift could not be measured, neither can the worst: it might be that one.
    """
    for shift, reason in why.items():
        if reason:
            return not_estimable(
                name, n, f"With {shift.name} it could not be measured: {reason[0].lower()}{reason[1:]}"
            )
    value = max(value for value, _ in found)
    ends = [interval for _, interval in found if interval is not None]
    interval = None
    if len(ends) == len(found):
        interval = Interval(
            low=min(value, max(end.low for end in ends)),
            high=max(end.high for end in ends),
            method=f"{ends[0].method}_simultaneous",
        )
    return Metric(name=name, value=value, interval=interval, n=n)


def _metric(name: str, found: stats.Estimate, part: str = "all") -> Metric:
    return Metric(
        name=name,
        value=found.value,
        interval=found.interval,
        n=found.n,
        n_effective=found.n_effective,
        slice=part,
    )


def named(metrics: Sequence[Metric], name: str) -> list[tuple[str, Metric]]:
    """(shift, metric) of the metrics called `name`, for a chart."""
    return [(m.slice.partition("=")[2], m) for m in metrics if m.name == name]


def warnings(data: Dataset, n: int, params: ShiftParams, ctx: Context) -> list[str]:
    found = []
    if n < params.examples:
        found.append(f"The data set has only {n} examples; {params.examples} were asked for.")
    possible = Shifter(data, ctx).possible(params)
    others = [shift.name for shift in shifts_of(params) if shift not in possible]
    if others:
        found.append(f"No input column is of a kind that these shifts change: {', '.join(others)}.")
    return found
