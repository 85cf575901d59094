"""A language model as a classifier: the label that its text names, read by rule and never guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluations import records, scoring
from evaluations.generating import finder, prompts
from evaluations.models.label_parsing import label_of
from evaluations.spec import ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Generation, Generator
    from evaluations.prompting import PromptParams


def labels_to_read(data: Dataset, ctx: Context) -> tuple[str, ...]:
    """The registered class names, else those that the data set's labels have, in order."""
    return ctx.request.model.labels or tuple(sorted({str(label) for label in data.truth}))


def score_shard(
    model: Generator,
    data: Dataset,
    ctx: Context,
    rows: NDArray[np.int64],
    params: PromptParams,
    labels: Sequence[str],
) -> ShardState:
    """One-hot rows for the labels that the texts name. A text that names none, or several, is no answer."""
    data.class_indices(labels)
    written = ctx.generations(model, data.ids[rows], prompts(data, rows, params.prompt), params.settings)
    probs, errors = read(written, params, labels)
    unread = sum(text.status == "ok" and bool(none) for text, none in zip(written, errors, strict=True))
    table = records.table_of(data, rows, {"probs": scoring.probs_column(probs, errors)})
    return ShardState(
        scoring.with_labels(table, labels, graded=False),
        {"errors": int(errors.sum()), "unparsed": int(unread)},
    )


def read(
    written: Sequence[Generation], params: PromptParams, labels: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(n, K) one-hot rows for the labels that n texts name, and which of them name none."""
    find = finder(params)
    found: list[int | None] = []
    for text in written:
        answer = find(text.text) if text.status == "ok" else None
        found.append(None if answer is None else label_of(answer, labels))
    errors = np.array([index is None for index in found], dtype=bool)
    probs = np.full((len(written), len(labels)), np.nan)
    probs[~errors] = np.eye(len(labels))[[index for index in found if index is not None]]
    return probs, errors
