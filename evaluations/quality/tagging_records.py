"""The tags of quality.tagging: asked for per sentence, read back beside the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import records, scoring
from evaluations.data.columns import names_of
from evaluations.spec import Coverage, EvaluationError, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import TokenClassifier

TAGS = {"tags": pa.list_(pa.int64())}


@dataclass(frozen=True)
class Tagged:
    """Per sentence, ascending by example id: the true tags and the answered ones (None: no answer)."""

    labels: tuple[str, ...]
    truth: tuple[tuple[str, ...], ...]
    answer: tuple[tuple[str, ...] | None, ...]
    clusters: NDArray[np.str_] | None

    def coverage(self) -> Coverage:
        failed = sum(tags is None for tags in self.answer)
        return Coverage(attempted=len(self.truth), scored=len(self.truth) - failed, failed=failed)


def tag_shard(model: TokenClassifier, data: Dataset, ctx: Context, shard: Shard) -> ShardState:
    """Tags the sentences of a shard: label indices per word, null where there is no answer."""
    true_tags(data, model.labels)  # refuse tags that do not fit before the work, not after it
    rows = records.all_rows(data, shard)

    def ask(positions: NDArray[np.int64]) -> pa.Table:
        sentences = [data.words[row] for row in rows[positions]]
        return pa.table({"tags": pa.array(model.tag(sentences), TAGS["tags"])})

    table = ctx.answers(model, "tags", data.ids[rows], ask, "tagging", pa.schema(TAGS))
    held = table.column("tags").combine_chunks()
    found = records.table_of(data, rows, {"tags": held})
    return ShardState(scoring.with_labels(found, model.labels), {"errors": int(held.null_count)})


def collect(states: Sequence[ShardState], data: Dataset, ctx: Context) -> Tagged:
    """The tags of all sentences, checked. Raises `bad_records` for what no honest run writes."""
    every: NDArray[np.int64] = np.arange(data.rows)
    table = records.join(states, TAGS, data, every)
    labels = scoring.labels_of(states, ctx)
    order = records.rows_by_id(data, every)
    truth = true_tags(data, labels)
    answers: list[tuple[str, ...] | None] = []
    for row, tags in zip(order, table.column("tags").to_pylist(), strict=True):
        if tags is not None and (
            len(tags) != len(data.words[row])
            or any(tag is None or not 0 <= tag < len(labels) for tag in tags)
        ):
            raise EvaluationError("bad_records", "A record does not have one tag per word. Run it again.")
        answers.append(None if tags is None else tuple(labels[tag] for tag in tags))
    return Tagged(
        labels,
        tuple(truth[row] for row in order),
        tuple(answers),
        None if data.clusters is None else data.clusters[order],
    )


def true_tags(data: Dataset, labels: Sequence[str]) -> list[tuple[str, ...]]:
    """The true tags. Raises where a sentence has another number of tags than words, or a tag the model lacks."""
    for row, (words, tags) in enumerate(zip(data.words, data.references, strict=True)):
        if len(words) != len(tags):
            raise EvaluationError(
                "tags_length",
                f"Row {row + 1} (id {str(data.ids[row])[:60]!r}) has {len(words)} words and {len(tags)} tags. "
                "Give each word one tag.",
            )
    unknown = sorted({tag for tags in data.references for tag in tags} - set(labels))
    if unknown:
        raise EvaluationError(
            "labels_unmatched",
            f"The data set has the tags {names_of(unknown)}, which the model does not know; it knows "
            f"{names_of(labels)}. Register the model with its tags in output order, or correct the tag column.",
        )
    return data.references
