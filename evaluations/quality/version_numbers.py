"""The numbers of quality.version_change for models that predict numbers: paired errors on the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from evaluations import predicting, stats
from evaluations.predicting import Predicted
from evaluations.quality.version_pairs import NAMES
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Coverage, Interval, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.quality.version_change import VersionParams
    from evaluations.spec import ShardState

CLASSES = "It is measured where a model names classes, and this one predicts numbers."


@dataclass(frozen=True)
class Numbers:
    """Both versions' predictions for the same rows, ascending by example id."""

    now: Predicted
    before: Predicted

    @property
    def answered(self) -> NDArray[np.bool_]:
        return ~(self.now.errors | self.before.errors)

    def coverage(self) -> Coverage:
        failed = int((~self.answered).sum())
        return Coverage(attempted=self.now.n, scored=self.now.n - failed, failed=failed)


def collect(states: Sequence[ShardState], data: Dataset, ctx: Context) -> Numbers:
    return Numbers(predicting.collect(states, data), predicting.collect(ctx.parent_states, data))


def measure(numbers: Numbers, data: Dataset, params: VersionParams) -> list[Metric]:
    """The change of the absolute error; what takes classes is not estimable."""
    n, answered = numbers.now.n, numbers.answered
    reason = too_many_errors(int((~answered).sum()), n, params.max_error_rate)
    others = [not_estimable(name, n, reason or CLASSES) for name in NAMES[:-1]]
    if reason:
        return [*others, not_estimable(NAMES[-1], n, reason)]
    clusters = None if data.clusters is None else data.clusters[numbers.now.rows]

    def error(version: Predicted, how: Literal["worst", "best"]) -> NDArray[np.float64]:
        return np.abs(version.filled(how) - version.truth)

    best = error(numbers.now, "best") - error(numbers.before, "worst")
    worst = error(numbers.now, "worst") - error(numbers.before, "best")
    value = float(best[answered].mean())
    low, high = (stats.mean_interval(side, clusters=clusters) for side in (best, worst))
    interval = None
    if low and high:
        interval = Interval(
            low=min(value, low.low), high=max(value, high.high), method=f"paired_{low.method}"
        )
    return [*others, Metric(name=NAMES[-1], value=value, interval=interval, n=n)]
