"""The half of privacy.attribute_inference that holds the model, and the reading back of what it answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import records
from evaluations.data.sampling import stratified_sample
from evaluations.models.protocol import Scores
from evaluations.privacy.member_column import membership
from evaluations.robustness import tabular_asking
from evaluations.scoring import PROBS, labels_of, probs_column, read_probs, with_labels
from evaluations.spec import Coverage, EvaluationError, Modality, Role, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.privacy.attribute_inference import AttributeParams

FEWEST = 20  # rows with a value: of fewer nothing is learnt
MOST = 12  # values of an attribute
LISTED = pa.list_(pa.float64())


@dataclass(frozen=True)
class Attribute:
    """A sensitive column and those of its values that are guessed, sorted by name."""

    column: str
    values: tuple[str, ...]
    raw: tuple[Any, ...]  # the same as the model is fed them
    reason: str = ""  # why nothing is guessed


@dataclass(frozen=True)
class Answers:
    """What the model said of n rows, ascending by example id; NaN where it said nothing."""

    labels: tuple[str, ...]
    rows: NDArray[np.int64]
    truth: NDArray[np.int64]  # (n,) class indices
    probs: NDArray[np.float64]  # (n, K)
    attributes: tuple[Attribute, ...]
    tried: tuple[NDArray[np.float64] | None, ...]  # per attribute (n, V, K); None: the model does not take it
    groups: tuple[NDArray[np.int64], ...]  # per attribute (n,) place of the row's value, −1: of none
    member: NDArray[np.float64]  # (n,) 1 trained on, 0 not, NaN unknown
    clusters: NDArray[np.str_] | None

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """(n,) a question about the row has no answer."""
        missing = np.isnan(self.probs).any(axis=1)
        for tried in self.tried:
            if tried is not None:
                missing = missing | np.isnan(tried).any(axis=(1, 2))
        return np.asarray(missing)

    def coverage(self) -> Coverage:
        failed = int(self.failed.sum())
        return Coverage(attempted=self.n, scored=self.n - failed, failed=failed)


def attributes_of(data: Dataset) -> tuple[Attribute, ...]:
    """The sensitive columns of the whole data set, the same in run and merge."""
    found = []
    for column in data.ref.columns(Role.SENSITIVE):
        groups = data.groups(column)
        missing = np.asarray(data.table.column(column).is_null())
        names, first, counts = np.unique(groups[~missing], return_index=True, return_counts=True)
        held = data.table.column(column).take(np.flatnonzero(~missing)).take(first).to_pylist()
        kept = [(str(n), raw) for n, raw, count in zip(names, held, counts, strict=True) if count >= FEWEST]
        reason = ""
        if len(kept) > MOST:
            reason = f"It has {len(kept)} values, more than {MOST}: put them into a few groups."
            kept = []
        elif len(kept) < 2:
            reason = f"Fewer than two of its values occur in {FEWEST} rows or more."
            kept = []
        found.append(Attribute(column, tuple(n for n, _ in kept), tuple(r for _, r in kept), reason))
    return tuple(found)


def sample(data: Dataset, params: AttributeParams, ctx: Context) -> NDArray[np.int64]:
    """The rows that are used: seeded, in proportion to labels and membership, the same in run and merge."""
    strata = np.char.add(np.char.add(data.truth, "|"), membership(data).astype(str))
    return stratified_sample(data.ids, strata, params.examples, ctx.seed)


def ask_shard(model: Any, data: Dataset, params: AttributeParams, ctx: Context, shard: Shard) -> ShardState:
    """Records: the answer to each row, and where the model takes an attribute that to each of its values instead."""
    data.class_indices(model.labels)  # refuse a label mismatch before the work, not after it
    rows = sample(data, params, ctx)[shard.start : shard.stop]
    scores = ctx.predictions(model, data, rows)
    columns: dict[str, pa.Array] = {"probs": probs_column(scores.probs, scores.errors)}
    taken = model.columns or ()
    for j, attribute in enumerate(attributes_of(data)):
        if data.modality is Modality.TABULAR and attribute.column in taken and attribute.values:
            tried = [_with_value(model, data, ctx, rows, attribute, v) for v in range(len(attribute.values))]
            probs = np.concatenate([s.probs for s in tried], axis=1)
            errors = np.any([s.errors for s in tried], axis=0)
            columns[f"tried_{j}"] = probs_column(probs, errors)
        else:
            columns[f"tried_{j}"] = pa.array([[]] * len(rows), LISTED)
    return ShardState(with_labels(records.table_of(data, rows, columns), model.labels))


def _with_value(
    model: Any, data: Dataset, ctx: Context, rows: NDArray[np.int64], attribute: Attribute, v: int
) -> Scores:
    """Answers to the rows as they would be with this value of the attribute."""
    import pandas as pd

    def ask(positions: NDArray[np.int64]) -> pa.Table:
        frame = data.frame(rows[positions], model.columns)
        dtype = frame[attribute.column].dtype
        value = pd.Series([attribute.raw[v]] * len(frame), index=frame.index, dtype=dtype)
        scores = tabular_asking.scores_of(model, frame.assign(**{attribute.column: value}))
        return pa.table({"probs": probs_column(scores.probs, scores.errors)})

    table = ctx.answers(
        model,
        "with_value",
        data.ids[rows],
        ask,
        f"asking with another {attribute.column}",
        PROBS,
        column=attribute.column,
        value=attribute.values[v],
    )
    probs, errors = read_probs(table.column("probs"), len(model.labels))
    return Scores(probs, errors, np.ones(len(rows), bool))


def collect(states: Sequence[ShardState], data: Dataset, params: AttributeParams, ctx: Context) -> Answers:
    """The records of all sampled rows, checked. Raises `bad_records` for what no honest run writes."""
    attributes = attributes_of(data)
    used = sample(data, params, ctx)
    columns = {"probs": LISTED} | {f"tried_{j}": LISTED for j in range(len(attributes))}
    table = records.join(states, columns, data, used)
    labels = labels_of(states, ctx)
    rows = records.rows_by_id(data, used)
    probs, _ = read_probs(table.column("probs"), len(labels))
    return Answers(
        labels=labels,
        rows=rows,
        truth=data.class_indices(labels)[rows],
        probs=probs,
        attributes=attributes,
        tried=tuple(_read(table.column(f"tried_{j}"), a, len(labels)) for j, a in enumerate(attributes)),
        groups=tuple(_places(data.groups(a.column)[rows], a.values) for a in attributes),
        member=membership(data)[rows],
        clusters=None if data.clusters is None else data.clusters[rows],
    )


def _read(column: pa.ChunkedArray, attribute: Attribute, classes: int) -> NDArray[np.float64] | None:
    """(n, V, K), or None where the model was not asked about this attribute. Each of the V is a distribution."""
    values = column.combine_chunks()
    lengths = np.asarray(values.value_lengths().fill_null(-1))
    if (lengths == 0).all():
        return None
    size = len(attribute.values) * classes
    flat = values.flatten()
    kept = lengths >= 0
    if flat.null_count or (lengths[kept] != size).any() or not size:
        raise EvaluationError("bad_records", "A record has the wrong number of probabilities. Run it again.")
    found = np.full((len(values), len(attribute.values), classes), np.nan)
    given = flat.to_numpy().reshape(-1, len(attribute.values), classes)
    if not (
        np.isfinite(given).all() and (given >= 0).all() and (np.abs(given.sum(axis=2) - 1) <= 1e-2).all()
    ):
        raise EvaluationError("bad_records", "A record holds values that are no probabilities. Run it again.")
    found[kept] = given
    return found


def _places(groups: NDArray[np.str_], values: tuple[str, ...]) -> NDArray[np.int64]:
    place = {value: v for v, value in enumerate(values)}
    return np.array([place.get(str(group), -1) for group in groups], dtype=np.int64)
