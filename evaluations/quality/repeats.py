"""The numbers of quality.repeatability: the same inputs asked several times, each time in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import generating, predicting, records, stats
from evaluations.data.columns import LARGEST
from evaluations.quality import halves
from evaluations.quality.classification_scores import UNGRADED
from evaluations.records import not_estimable, too_many_errors
from evaluations.scoring import GRADED, probs_column, read_probs, with_labels
from evaluations.spec import (
    Access,
    Coverage,
    EvaluationError,
    Example,
    Interval,
    Metric,
    Modality,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.quality.repeatability import RepeatParams

GENERATING = (Modality.CAUSAL_LM, Modality.SEQ2SEQ)
SAME_NUMBER = 1e-6  # relative
NAMES = ("flip_rate", "lapse_rate", "mean_change", "max_change")
MOST_EXAMPLES = 20
SHOWN = 500  # characters of a text
TEXTS = "Texts have no probabilities whose change could be measured."


@dataclass(frozen=True)
class Repeats:
    """n inputs asked R times, ascending by example id."""

    rows: NDArray[np.int64]
    answered: NDArray[np.bool_]  # (n, R)
    differs: NDArray[np.bool_]  # (n, R) from the first answer; only meaningful where both are answered
    change: (
        NDArray[np.float64] | None
    )  # (n, R) largest |difference| from the first; None: there are no numbers
    texts: list[list[str]] | None
    clusters: NDArray[np.str_] | None
    bounded: bool = False  # the changes are of probabilities

    @property
    def always(self) -> NDArray[np.bool_]:
        return np.asarray(self.answered.all(axis=1))

    @property
    def flipped(self) -> NDArray[np.bool_]:
        return np.asarray(self.differs.any(axis=1)) & self.always

    def coverage(self) -> Coverage:
        failed = int((~self.always).sum())
        return Coverage(attempted=len(self.rows), scored=len(self.rows) - failed, failed=failed)


# --- asking ---------------------------------------------------------------------------------------


def ask_shard(model: Any, data: Dataset, ctx: Context, shard: Shard, params: RepeatParams) -> ShardState:
    """The first time as every evaluation asks, and shared with them; then anew, in orders of their own."""
    rows = records.all_rows(data, shard)
    if data.modality in GENERATING:
        return _written(model, data, ctx, rows, params)
    columns: dict[str, pa.Array] = {}
    errors = 0
    for k, order in enumerate(_orders(data, rows, ctx, params)):
        back = np.argsort(order)
        if data.modality is Modality.TABULAR_REGRESSION:
            values = (
                predicting.numbers(model, data, ctx, rows[order], sample=k).column("value").combine_chunks()
            )
            columns[f"answer_{k}"] = values.take(pa.array(back))
        else:
            scores = ctx.predictions(model, data, rows[order], sample=k)
            columns[f"answer_{k}"] = probs_column(scores.probs[back], scores.errors[back])
        errors += columns[f"answer_{k}"].null_count
    table = records.table_of(data, rows, columns)
    if data.modality is not Modality.TABULAR_REGRESSION:
        table = with_labels(table, model.labels, Access.PROBS in model.access)
    return ShardState(table, {"errors": errors})


def _orders(
    data: Dataset, rows: NDArray[np.int64], ctx: Context, params: RepeatParams
) -> list[NDArray[np.int64]]:
    again = range(1, params.repeats)
    return [
        np.arange(len(rows)),
        *(np.argsort(halves.uniforms(data.ids[rows], ctx.seed, f"repeat:{k}"), kind="stable") for k in again),
    ]


def _written(
    model: Any, data: Dataset, ctx: Context, rows: NDArray[np.int64], params: RepeatParams
) -> ShardState:
    prompts = generating.prompts(data, rows, params.prompt)
    drawn = []
    for k, order in enumerate(_orders(data, rows, ctx, params)):
        texts = ctx.generations(model, data.ids[rows[order]], [prompts[i] for i in order], params.settings, k)
        drawn.append([texts[i] for i in np.argsort(order)])
    table = records.table_of(data, rows, generating.columns_of(drawn))
    return ShardState(table, {"errors": sum(g.status == "error" for texts in drawn for g in texts)})


# --- reading back ---------------------------------------------------------------------------------


def collect(states: Sequence[ShardState], data: Dataset, params: RepeatParams) -> Repeats:
    """The records of all rows, checked. Raises `bad_records` for what no honest run writes."""
    every: NDArray[np.int64] = np.arange(data.rows)
    rows = records.rows_by_id(data, every)
    clusters = None if data.clusters is None else data.clusters[rows]
    if data.modality in GENERATING:
        found = generating.collect(states, data, params, params.repeats)
        said = found.parsed
        differs = np.array([[text != texts[0] for text in texts] for texts in said], dtype=bool)
        return Repeats(
            rows, found.status == "ok", differs.reshape(len(rows), -1), None, found.texts, clusters
        )
    names = [f"answer_{k}" for k in range(params.repeats)]
    numbers = data.modality is Modality.TABULAR_REGRESSION
    kind = pa.float64() if numbers else pa.list_(pa.float64())
    table = records.join(states, dict.fromkeys(names, kind), data, every)
    read = _numbers if numbers else _probabilities
    answered, differs, change = read([table.column(name) for name in names])
    graded = all(GRADED not in (state.records.schema.metadata or {}) for state in states)
    return Repeats(rows, answered, differs, change if graded else None, None, clusters, not numbers)


Read = tuple["NDArray[np.bool_]", "NDArray[np.bool_]", "NDArray[np.float64]"]


def _probabilities(columns: Sequence[pa.ChunkedArray]) -> Read:
    lengths = {
        int(n)
        for column in columns
        for n in column.combine_chunks().value_lengths().drop_null().unique().to_pylist()
    }
    if len(lengths) > 1:
        raise EvaluationError("bad_records", "The records hold different numbers of classes. Run it again.")
    read = [read_probs(column, max(lengths, default=2)) for column in columns]
    first = read[0][0]
    answers = np.stack([np.argmax(np.nan_to_num(probs), axis=1) for probs, _ in read], axis=1)
    change = np.stack([np.abs(probs - first).max(axis=1) for probs, _ in read], axis=1)
    return np.stack([~errors for _, errors in read], axis=1), answers != answers[:, :1], change


def _numbers(columns: Sequence[pa.ChunkedArray]) -> Read:
    values = np.stack([np.asarray(column.to_numpy(), dtype=np.float64) for column in columns], axis=1)
    answered = ~np.isnan(values)
    if (np.abs(values) > LARGEST).any():
        raise EvaluationError("bad_records", "A record holds a value that is no number. Run it again.")
    change = np.abs(values - values[:, :1])
    return answered, change > SAME_NUMBER * np.abs(values[:, :1]), change


def measure(found: Repeats, params: RepeatParams) -> list[Metric]:
    """Every metric of quality.repeatability."""
    n = len(found.rows)
    always, ever = found.always, found.answered.any(axis=1)
    reason = too_many_errors(int((~ever).sum()), n, params.max_error_rate)
    if not reason and not always.any():
        reason = "No input was answered each time."
    if reason:
        return [not_estimable(name, n, reason) for name in NAMES]
    flips = stats.proportion(found.flipped, found.clusters, always)
    lapses = stats.proportion(ever & ~always, found.clusters)
    metrics = [
        Metric(name=name, value=e.value, interval=e.interval, n=n, n_effective=e.n_effective)
        for name, e in (("flip_rate", flips), ("lapse_rate", lapses))
    ]
    if found.change is None:
        why = UNGRADED if found.texts is None else TEXTS
        return [*metrics, *(not_estimable(name, n, why) for name in NAMES[2:])]
    change = np.where(always, found.change.max(axis=1), np.nan)
    return [
        *metrics,
        Metric(name="mean_change", value=float(change[always].mean()), interval=_mean(found, change), n=n),
        Metric(name="max_change", value=float(change[always].max()), n=int(always.sum())),
    ]


def _mean(found: Repeats, change: NDArray[np.float64]) -> Interval | None:
    """Of the mean change. An input that was not answered each time may have moved by nothing, or by all there is."""
    if found.bounded:
        ends = stats.unit_mean(np.clip(change, 0, 1), found.clusters).interval
        value = float(change[found.always].mean())  # rounded probabilities may differ by a little more than 1
        return stats.spanning(ends, ends, value)
    if not found.always.all():  # how far a number may have moved has no bound
        return None
    interval = stats.mean_interval(change, clusters=found.clusters)
    return None if interval is None else interval.model_copy(update={"low": max(0.0, interval.low)})


def examples(found: Repeats, data: Dataset) -> list[Example]:
    """Inputs whose answer changed, those that moved most first."""
    flipped = np.flatnonzero(found.flipped)
    if found.change is not None:
        flipped = flipped[np.argsort(-found.change[flipped].max(axis=1), kind="stable")]
    shown = []
    for i in flipped[:MOST_EXAMPLES]:
        facts: dict[str, str | float | int] = {}
        before = after = ""
        if found.change is not None:
            facts["largest change"] = round(float(found.change[i].max()), 6)
        if found.texts is not None:
            other = int(np.argmax(found.differs[i]))
            before, after = found.texts[i][0][:SHOWN], found.texts[i][other][:SHOWN]
        shown.append(
            Example(
                id=str(data.ids[found.rows[i]]), kind="not_repeated", before=before, after=after, facts=facts
            )
        )
    return shown
