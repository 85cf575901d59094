"""The numbers of quality.version_change: two versions on the same examples, paired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from evaluations import scoring, stats
from evaluations.quality.calibration_error import brier_scores
from evaluations.quality.classification_scores import UNGRADED, losses
from evaluations.records import not_estimable, too_many_errors
from evaluations.scoring import Scored
from evaluations.spec import (
    Coverage,
    EvaluationError,
    Example,
    Interval,
    Metric,
    MetricStatus,
    Modality,
    Role,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.quality.version_change import VersionParams
    from evaluations.spec import ShardState

NAMES = (
    "accuracy_change",
    "newly_wrong",
    "newly_right",
    "answers_changed",
    "mcnemar_p",
    "log_loss_change",
    "brier_change",
    "absolute_error_change",
)
NUMBERS = "It is measured where a model predicts numbers, and this one names classes."
MOST_GROUPS = 50
MOST_EXAMPLES = 20
SHOWN = 500  # characters of a text


@dataclass(frozen=True)
class Pair:
    """Both versions' answers to the same rows, ascending by example id; the parent's classes in this one's order."""

    now: Scored
    before: Scored

    @property
    def n(self) -> int:
        return self.now.n

    @property
    def answered(self) -> NDArray[np.bool_]:
        return ~(self.now.errors | self.before.errors)

    @property
    def right(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether each version is right, per row."""
        now, before = ((s.predicted == s.truth) & ~s.errors for s in (self.now, self.before))
        return now, before

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Whether the answers differ, by the names of the classes."""
        names = np.array(self.now.labels), np.array(self.before.labels)
        return np.asarray(names[0][self.now.predicted] != names[1][self.before.predicted])

    def coverage(self) -> Coverage:
        failed = int((~self.answered).sum())
        return Coverage(attempted=self.n, scored=self.n - failed, failed=failed)


def collect(states: Sequence[ShardState], data: Dataset, ctx: Context) -> Pair:
    """Both versions' records, each checked against its own class names."""
    parent = ctx.request.model.parent
    if parent is None:
        raise EvaluationError(
            "no_parent",
            "This version names no parent to be compared with. Push it with --parent.",
            skipped=True,
        )
    asked = ctx.request.model_copy(update={"model": parent})
    now = scoring.collect(states, data, ctx)
    before = scoring.collect(ctx.parent_states, data, replace(ctx, request=asked))
    if before.labels != now.labels and set(before.labels) == set(now.labels):
        order = [before.labels.index(label) for label in now.labels]
        before = replace(before, labels=now.labels, truth=now.truth, probs=before.probs[:, order])
    return Pair(now, before)


def measure(pair: Pair, data: Dataset, params: VersionParams) -> list[Metric]:
    """Every metric of quality.version_change."""
    answered = pair.answered
    reason = too_many_errors(int((~answered).sum()), pair.n, params.max_error_rate)
    if reason:
        return [not_estimable(name, pair.n, reason) for name in NAMES]
    clusters = None if data.clusters is None else data.clusters[pair.now.rows]
    now, before = pair.right
    found = [
        _change("accuracy_change", "all", pair, np.ones(pair.n, dtype=bool), clusters),
        *_groups(pair, data, clusters, params),
    ]
    for name, flips in (
        ("newly_wrong", before & ~now),
        ("newly_right", now & ~before),
        ("answers_changed", pair.changed),
    ):
        share = stats.proportion(flips, clusters, answered)
        found.append(
            Metric(
                name=name,
                value=share.value,
                interval=share.interval,
                n=pair.n,
                n_effective=share.n_effective,
            )
        )
    return [
        *found,
        _mcnemar(now[answered], before[answered], clusters),
        *_of_probabilities(pair, clusters),
        not_estimable("absolute_error_change", pair.n, NUMBERS),
    ]


def _change(
    name: str, where: str, pair: Pair, held: NDArray[np.bool_], clusters: NDArray[np.str_] | None
) -> Metric:
    """Change of accuracy over the rows `held`, of which at least one has both answers."""
    now, before = pair.right
    found = stats.paired_proportions(
        now[held], before[held], None if clusters is None else clusters[held], pair.answered[held]
    )
    return Metric(
        name=name,
        value=found.value,
        interval=found.interval,
        n=found.n,
        n_effective=found.n_effective,
        slice=where,
    )


def _groups(
    pair: Pair, data: Dataset, clusters: NDArray[np.str_] | None, params: VersionParams
) -> list[Metric]:
    name, found = "accuracy_change_in_group", []
    for column in data.ref.columns(Role.SENSITIVE):
        groups, index = np.unique(data.groups(column)[pair.now.rows], return_inverse=True)
        if len(groups) > MOST_GROUPS:
            reason = f"{column!r} has {len(groups)} distinct values; group them into at most {MOST_GROUPS}."
            found.append(not_estimable(name, pair.n, reason, column))
            continue
        for g, group in enumerate(groups):
            held, where = index == g, f"{column}={group}"
            n = int(held.sum())
            if n < params.suppress_below:
                reason = f"Only {n} examples: fewer than {params.suppress_below}."
                found.append(
                    Metric(
                        name=name, value=None, n=n, slice=where, status=MetricStatus.SUPPRESSED, reason=reason
                    )
                )
            elif not (held & pair.answered).any():
                found.append(not_estimable(name, n, "No example of this group has both answers.", where))
            else:
                found.append(_change(name, where, pair, held, clusters))
    return found


def _mcnemar(now: NDArray[np.bool_], before: NDArray[np.bool_], clusters: NDArray[np.str_] | None) -> Metric:
    if clusters is not None:
        reason = (
            "The test holds for independent rows only, and these are clustered: see the change's interval."
        )
        return not_estimable("mcnemar_p", len(now), reason)
    p = stats.mcnemar_exact(int((before & ~now).sum()), int((now & ~before).sum()))
    return Metric(name="mcnemar_p", value=p, n=len(now))


def _of_probabilities(pair: Pair, clusters: NDArray[np.str_] | None) -> list[Metric]:
    if not (pair.now.graded and pair.before.graded):
        return [not_estimable(name, pair.n, UNGRADED) for name in ("log_loss_change", "brier_change")]
    return [
        _mean_change("log_loss_change", losses, pair, clusters),
        _mean_change("brier_change", brier_scores, pair, clusters),
    ]


def _mean_change(
    name: str,
    of_rows: Callable[[Scored], NDArray[np.float64]],
    pair: Pair,
    clusters: NDArray[np.str_] | None,
) -> Metric:
    """Paired mean difference of a loss. A row that either did not answer: for this version, or against it."""

    def differences(now: Scored, before: Scored) -> NDArray[np.float64]:
        return of_rows(now) - of_rows(before)

    held = pair.answered
    value = float(differences(pair.now.only(held), pair.before.only(held)).mean())
    low = stats.mean_interval(
        differences(pair.now.filled("best"), pair.before.filled("worst")), clusters=clusters
    )
    high = stats.mean_interval(
        differences(pair.now.filled("worst"), pair.before.filled("best")), clusters=clusters
    )
    interval = None
    if low and high:
        interval = Interval(
            low=min(value, low.low), high=max(value, high.high), method=f"paired_{low.method}"
        )
    return Metric(name=name, value=value, interval=interval, n=pair.n)


def examples(pair: Pair, data: Dataset) -> list[Example]:
    """What is newly wrong, the most confidently wrong first."""
    now, before = pair.right
    wrong = np.flatnonzero(before & ~now & pair.answered)
    confidence = pair.now.probs.max(axis=1)
    found = []
    for i in wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_EXAMPLES]:
        row = int(pair.now.rows[i])
        text = data.texts[row][:SHOWN] if data.modality is Modality.TEXT_CLASSIFIER else ""
        facts: dict[str, str | float | int] = {
            "true class": pair.now.labels[pair.now.truth[i]],
            "answer": pair.now.labels[pair.now.predicted[i]],
            "confidence": round(float(confidence[i]), 4),
            "confidence of the parent": round(float(pair.before.probs[i].max()), 4),
        }
        found.append(Example(id=str(data.ids[row]), kind="newly_wrong", before=text, facts=facts))
    return found


def warnings(pair: Pair) -> list[str]:
    if set(pair.now.labels) != set(pair.before.labels):
        return [
            "This version has other classes than its parent: log loss and Brier score are over each one's own."
        ]
    return []
