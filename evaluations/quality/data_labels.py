"""Doubtful labels by confident learning: given labels against the classes that the model is sure of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import records, scoring, stats
from evaluations.quality.classification_scores import UNGRADED
from evaluations.records import not_estimable, too_many_errors
from evaluations.scoring import Scored
from evaluations.spec import (
    Coverage,
    EvaluationError,
    Example,
    Interval,
    Metric,
    Modality,
    Role,
    ScoredParams,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset

CLASSIFIERS = (Modality.TEXT_CLASSIFIER, Modality.IMAGE_CLASSIFIER, Modality.TABULAR)
MOST_EXAMPLES = 20
SHOWN = 500  # characters of a text
NO_CLASSES = (
    "Labels can only be doubted where each row has one, and the model is a classifier of the same classes."
)


@dataclass(frozen=True)
class Labels:
    """Rows outside train beside the model's probabilities, or why there are none."""

    scored: Scored | None
    reason: str
    coverage: Coverage


def score_shard(model: Any, data: Dataset, ctx: Context, shard: Shard) -> ShardState:
    """Probabilities of the rows of a shard where the model is a classifier of these labels; else ids alone."""
    rows = records.all_rows(data, shard)
    if _why_not(data, getattr(model, "labels", ())):
        return ShardState(records.table_of(data, rows, {}))
    return scoring.score_shard(model, data, ctx, rows)


def _why_not(data: Dataset, labels: Sequence[str]) -> str:
    if data.modality not in CLASSIFIERS or not data.ref.columns(Role.TARGET):
        return NO_CLASSES
    try:
        data.class_indices(labels)
    except EvaluationError as error:
        return error.message
    return ""


def collect(states: Sequence[ShardState], data: Dataset, ctx: Context, params: ScoredParams) -> Labels:
    every = np.arange(data.rows)
    if all(state.records.column_names == ["example_id"] for state in states):
        records.join(states, {}, data, every)
        whole = Coverage(attempted=data.rows, scored=data.rows)
        named = ctx.request.model.labels
        return Labels(None, (_why_not(data, named) if named else "") or NO_CLASSES, whole)
    scored = scoring.collect(states, data, ctx)
    coverage = scored.coverage()
    if data.split is not None and (data.split == "train").any():
        scored = scored.only(data.split[scored.rows] != "train")
    reason = too_many_errors(int(scored.errors.sum()), scored.n, params.max_error_rate) if scored.n else ""
    if not scored.graded:
        reason = UNGRADED
    elif not scored.n:
        reason = "All rows are of the split train, on which the model's own judgement is worth nothing."
    elif not reason and len(np.unique(scored.answered().truth)) < 2:
        reason = "All answered rows have the same label."
    return Labels(None if reason else scored, reason, coverage)


# --- confident learning ---------------------------------------------------------------------------


def confident_class(scored: Scored) -> NDArray[np.int64]:
    """The most probable class among those at least as probable as they are for rows labelled so; K where none is."""
    k = len(scored.labels)
    limits = np.full(k, np.inf)
    for j in np.unique(scored.truth):
        limits[j] = scored.probs[scored.truth == j, j].mean()
    sure = scored.probs >= limits - 1e-12
    best = np.argmax(np.where(sure, scored.probs, -1.0), axis=1)
    return np.where(sure.any(axis=1), best, k)


def joint(scored: Scored) -> NDArray[np.int64]:
    """Counts (given label, confident class or none), shape (K, K + 1)."""
    k = len(scored.labels)
    cells = np.bincount(scored.truth * (k + 1) + confident_class(scored), minlength=k * (k + 1))
    return np.asarray(cells.reshape(k, k + 1))


def noise(cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """(…, K, K + 1) counts to (…,): off-diagonal share, each row brought to its number of given labels."""
    given = cells.sum(axis=-1)
    sure = cells[..., :-1].sum(axis=-1)
    right = np.diagonal(cells[..., :-1], axis1=-2, axis2=-1)
    wrong = np.where(sure > 0, 1 - right / np.maximum(1, sure), 0.0)
    return np.asarray((wrong * given).sum(axis=-1) / given.sum(axis=-1))


def measure(labels: Labels, data: Dataset, ctx: Context) -> Metric:
    name = "label_noise"
    if labels.scored is None:
        return not_estimable(name, labels.coverage.attempted, labels.reason)
    scored = labels.scored
    value = float(noise(joint(scored.answered())))
    interval = None
    if data.clusters is None:
        low, high = (
            stats.percentile(stats.cell_bootstrap(softened(cells), noise, ctx.rng("bootstrap:label_noise")))
            for cells in (joint(scored.filled("best")), joint(scored.filled("worst")))
        )
        interval = Interval(
            low=min(value, low[0]), high=max(value, high[1]), method="percentile_bootstrap_cells"
        )
    return Metric(name=name, value=value, interval=interval, n=scored.n)


def softened(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """A class without a doubtful row gets one, so that the interval of a perfect set is not of no width."""
    found = cells.copy()
    for i in range(len(cells)):
        if cells[i].sum() and cells[i, i] == cells[i, :-1].sum():
            found[i, (i + 1) % len(cells)] += 1
    return found


def examples(labels: Labels, data: Dataset) -> list[Example]:
    """Rows whose confident class is another than the given one, the most doubtful first."""
    if labels.scored is None:
        return []
    scored = labels.scored.answered()
    other = confident_class(scored)
    at = np.flatnonzero((other != scored.truth) & (other < len(scored.labels)))
    margin = scored.probs[at, other[at]] - scored.probs[at, scored.truth[at]]
    found = []
    for i in at[np.argsort(-margin, kind="stable")][:MOST_EXAMPLES]:
        row = int(scored.rows[i])
        text = data.texts[row][:SHOWN] if data.modality is Modality.TEXT_CLASSIFIER else ""
        facts: dict[str, str | float | int] = {
            "label": scored.labels[scored.truth[i]],
            "the model is sure of": scored.labels[other[i]],
            "probability": round(float(scored.probs[i, other[i]]), 4),
        }
        found.append(Example(id=str(data.ids[row]), kind="doubtful_label", before=text, facts=facts))
    return found


def warnings(labels: Labels, data: Dataset) -> list[str]:
    if labels.scored is not None and (data.split is None or not (data.split == "train").any()):
        return [
            "Doubtful labels are judged by the model under audit: if it was trained on these rows, there are more of "
            "them than it shows."
        ]
    return []
