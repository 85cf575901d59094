"""Runs of words that test examples share with the training split of the same data set."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.quality.exchangeability import example_text
from evaluations.records import not_estimable
from evaluations.spec import Metric

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

_WORD = re.compile(r"[^\W_]+")


def measure(data: Dataset, length: int) -> Metric:
    """Share of examples outside the split `train` that overlap with it."""
    if data.split is None:
        return not_estimable(
            "train_overlap",
            data.rows,
            "No column has the role split, so that nothing is known to be training data.",
        )
    train = data.split == "train"
    if train.all() or not train.any():
        return not_estimable(
            "train_overlap", data.rows, "It takes examples in the split train, and others outside it."
        )
    hits = overlapping(data, np.flatnonzero(train), np.flatnonzero(~train), length)
    clusters = None if data.clusters is None else data.clusters[~train]
    share = stats.proportion(hits, clusters)
    return Metric(
        name="train_overlap",
        value=share.value,
        interval=share.interval,
        n=share.n,
        n_effective=share.n_effective,
    )


def overlapping(
    data: Dataset, train: NDArray[np.int64], test: NDArray[np.int64], length: int
) -> NDArray[np.bool_]:
    """Which rows of `test` share `length` words in a row with a row of `train`, or are all of a shorter one."""
    seen: set[tuple[str, ...]] = set()
    for row in train:
        seen.update(runs(example_text(data, int(row)), length))
    return np.array([any(run in seen for run in runs(example_text(data, int(row)), length)) for row in test])


def runs(text: str, length: int) -> Iterable[tuple[str, ...]]:
    """Every run of `length` words, in lower case; all words where there are fewer, nothing where there is none."""
    words = _WORD.findall(text.lower())
    if not words:
        return ()
    return {tuple(words[k : k + length]) for k in range(max(1, len(words) - length + 1))}
