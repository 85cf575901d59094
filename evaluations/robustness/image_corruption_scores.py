"""The half of robustness.image_corruption that judges: right answers by kind and severity, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import records, stats
from evaluations.records import not_estimable
from evaluations.robustness.image_corruption_asking import RECORDS, sample
from evaluations.scoring import labels_of
from evaluations.spec import Coverage, EvaluationError, Interval, Metric, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.image_corruption import CorruptionParams

OVERALL = ("clean_accuracy", "corruption_accuracy", "relative_drop", "worst_kind_accuracy")


@dataclass(frozen=True)
class Answers:
    """n images, ascending by id, in V versions. 1 where right, 0 where wrong, NaN without an answer."""

    labels: tuple[str, ...]
    rows: NDArray[np.int64]  # row numbers in the data set
    truth: NDArray[np.int64]
    said: NDArray[np.int64]  # (n, 1 + V) classes, the clean one first; −1 without an answer
    clusters: NDArray[np.str_] | None

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def right(self) -> NDArray[np.float64]:
        """(n, 1 + V)"""
        return np.where(self.said < 0, np.nan, self.said == self.truth[:, None])

    @property
    def clean(self) -> NDArray[np.float64]:
        return self.right[:, 0]

    @property
    def corrupted(self) -> NDArray[np.float64]:
        return self.right[:, 1:]

    def coverage(self) -> Coverage:
        failed = int((self.said < 0).any(axis=1).sum())
        return Coverage(attempted=self.n, scored=self.n - failed, failed=failed)


def collect(states: Sequence[ShardState], data: Dataset, params: CorruptionParams, ctx: Context) -> Answers:
    """The records, checked. Raises `bad_records` for what no honest run writes."""
    rows = sample(data, params, ctx)
    table, labels = records.join(states, RECORDS, data, rows), labels_of(states, ctx)
    lists = table.column("corrupted").combine_chunks()
    if lists.null_count or not (np.asarray(lists.value_lengths()) == len(params.versions)).all():
        raise EvaluationError("bad_records", "A record has the wrong number of answers. Run it again.")
    corrupted = _classes(lists.flatten(), len(labels)).reshape(len(rows), -1)
    said = np.column_stack([_classes(table.column("clean").combine_chunks(), len(labels)), corrupted])
    order = records.rows_by_id(data, rows)
    return Answers(
        labels=labels,
        rows=order,
        truth=data.class_indices(labels)[order],
        said=said,
        clusters=None if data.clusters is None else data.clusters[order],
    )


def _classes(column: pa.Array, classes: int) -> NDArray[np.int64]:
    found = np.asarray(column.fill_null(-1), dtype=np.int64)
    given = found[np.asarray(column.is_valid())]
    if ((given < 0) | (given >= classes)).any():
        raise EvaluationError("bad_records", "A record names a class that there is not. Run it again.")
    return found


def measure(answers: Answers, params: CorruptionParams) -> list[Metric]:
    """Every metric of robustness.image_corruption."""
    parts = _parts(params)
    reason = _too_few(answers, params.max_error_rate)
    if reason:
        return [
            *(not_estimable(name, answers.n, reason) for name in OVERALL),
            *(not_estimable(name, answers.n, reason, part) for name, part, _ in parts),
        ]
    clean = stats.proportion(np.nan_to_num(answers.clean) == 1, answers.clusters, ~np.isnan(answers.clean))
    corrupted = stats.unit_mean(answers.corrupted, answers.clusters)
    return [
        _metric("clean_accuracy", clean),
        _metric("corruption_accuracy", corrupted),
        _relative_drop(answers, clean, corrupted),
        _worst(answers, params),
        *(_over(name, part, answers, held) for name, part, held in parts),
    ]


def _parts(params: CorruptionParams) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """(metric, slice, which versions) of every kind and every severity."""
    kinds = np.array([kind for kind, _ in params.versions])
    severities = np.array([severity for _, severity in params.versions])
    return [
        *(("kind_accuracy", f"corruption={kind}", kinds == kind) for kind in params.kinds),
        *(("severity_accuracy", f"severity={s}", severities == s) for s in sorted(params.severities)),
    ]


def _too_few(answers: Answers, limit: float) -> str:
    missing, asked = int((answers.said < 0).sum()), answers.said.size
    if missing > limit * asked:
        return (
            f"The model gave no answer to {missing} of {asked} images, clean and corrupted, more than the "
            f"{limit:.0%} that the parameters allow."
        )
    if (answers.said[:, 0] < 0).all() or (answers.said[:, 1:] < 0).all(axis=0).any():
        return "The model gave no answer to any clean image, or to any with one of the corruptions."
    return ""


def _metric(name: str, found: stats.Estimate, part: str = "all") -> Metric:
    return Metric(
        name=name,
        value=found.value,
        interval=found.interval,
        n=found.n,
        n_effective=found.n_effective,
        slice=part,
    )


def _over(name: str, part: str, answers: Answers, held: NDArray[np.bool_]) -> Metric:
    return _metric(name, stats.unit_mean(answers.corrupted[:, held], answers.clusters), part)


def _relative_drop(answers: Answers, clean: stats.Estimate, corrupted: stats.Estimate) -> Metric:
    if clean.value == 0:
        return not_estimable(
            "relative_drop", answers.n, "The model was wrong on every clean image: there is nothing to lose."
        )
    kept = stats.paired_ratio(
        (corrupted.value, corrupted.interval), (clean.value, clean.interval), _correlation(answers)
    )
    value, interval = 1 - corrupted.value / clean.value, None
    if kept is not None:
        interval = Interval(
            low=min(value, 1 - kept.high), high=max(value, 1 - kept.low), method=kept.method, level=kept.level
        )
    return Metric(name="relative_drop", value=value, interval=interval, n=answers.n)


def _correlation(answers: Answers) -> float:
    """Of the two accuracies, by how an image's clean answer goes with its corrupted ones; 0 where one is missing.

    Of sums over clusters where images hang together. Two units are added that speak against it, each right in the one
    and wrong in the other, so that few images that happen to agree do not make the interval too narrow.
    """
    if (answers.said < 0).any():
        return 0.0
    codes, count = (
        (np.arange(answers.n), answers.n)
        if answers.clusters is None
        else stats.cluster_codes(answers.clusters)
    )
    against = np.array([0.5, -0.5]) * answers.n / count
    sums: list[NDArray[np.float64]] = [
        np.append(np.bincount(codes, weights=right - right.mean(), minlength=count), sign * against)
        for right, sign in ((answers.clean, 1), (answers.corrupted.mean(axis=1), -1))
    ]
    return float(sums[0] @ sums[1] / np.sqrt((sums[0] @ sums[0]) * (sums[1] @ sums[1])))


def _worst(answers: Answers, params: CorruptionParams) -> Metric:
    kinds = [held for name, _, held in _parts(params) if name == "kind_accuracy"]
    level = 1 - (1 - stats.LEVEL) / len(kinds)
    found = [stats.unit_mean(answers.corrupted[:, held], answers.clusters, level) for held in kinds]
    worst = min(found, key=lambda estimate: estimate.value)
    interval = Interval(
        low=min(e.interval.low for e in found),
        high=max(worst.value, min(e.interval.high for e in found)),
        method=f"{worst.interval.method}_simultaneous",
    )
    return Metric(name="worst_kind_accuracy", value=worst.value, interval=interval, n=answers.n)


def cells(answers: Answers, params: CorruptionParams) -> list[tuple[str, int, stats.Estimate]]:
    """(kind, severity, accuracy) of every version that was answered at all, and of the clean images as severity 0."""
    found = []
    for kind in params.kinds:
        columns = [(0, answers.clean)] + [
            (severity, answers.corrupted[:, i])
            for i, (k, severity) in enumerate(params.versions)
            if k == kind
        ]
        for severity, right in sorted(columns, key=lambda column: column[0]):
            if not np.isnan(right).all():
                known = ~np.isnan(right)
                found.append((kind, severity, stats.proportion(right == 1, answers.clusters, known)))
    return found


def _counted(states: Sequence[ShardState], name: str, n: int) -> int:
    """What the shards counted, at most all images: a hostile one may count as it likes."""
    return min(n, sum(max(0, min(n, state.counters.get(name, 0))) for state in states))


def warnings(states: Sequence[ShardState], answers: Answers, params: CorruptionParams) -> list[str]:
    found = []
    if answers.n < params.examples:
        found.append(f"The data set has only {answers.n} examples; {params.examples} were asked for.")
    if "frost" in params.kinds:
        found.append(
            "Frost is drawn: the authors lay over photographs, which are not at hand. Compare its figures with each "
            "other, not with published ones."
        )
    reduced, small = (_counted(states, name, answers.n) for name in ("reduced", "small"))
    if reduced:
        found.append(
            f"{reduced} images are larger than 256 px on the short side, or 1,024 on the long one: they were reduced "
            "to that, and their clean answers are those to the reduced images."
        )
    if 0 < small < answers.n:
        found.append(
            f"{small} images of at most 64 px were corrupted as CIFAR-C is, the others as ImageNet-C is: severities "
            "are not the same for both."
        )
    return found
