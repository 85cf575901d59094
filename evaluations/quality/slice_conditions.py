"""Conditions that cut a data set into slices: levels of columns, ranges of numbers, words of texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations.spec import Modality, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

MOST_LEVELS = 50  # a column of more is a name, not a group
FEW_NUMBERS = 10  # numbers of so few distinct values are levels
RANGES = 4
MOST_WORDS = 1000
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Conditions:
    """Which condition holds for which row, as pairs (row, condition). Rows are positions in the order asked for."""

    names: tuple[str, ...]
    attribute: NDArray[np.int64]  # (conditions,) those of one attribute are not combined
    rows: NDArray[np.int64]  # (pairs,)
    holds: NDArray[np.int64]  # (pairs,)

    def mask(self, condition: int, n: int) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        found[self.rows[self.holds == condition]] = True
        return found


def conditions(data: Dataset, rows: NDArray[np.int64], min_rows: int) -> Conditions:
    """Every condition on sensitive columns, and on input columns or texts."""
    names: list[str] = []
    attribute: list[int] = []
    pairs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    every = np.arange(len(rows))
    number = 0
    texts = [data.texts[i] for i in rows] if data.modality is Modality.TEXT_CLASSIFIER else []
    split = [WORD.findall(text.lower()) for text in texts]
    for levels, index in _attributes(data, rows, split):
        pairs.append((every, index + len(names)))
        names += levels
        attribute += [number] * len(levels)
        number += 1
    if split:
        words, at, which = _words(split, min_rows)
        pairs.append((at, which + len(names)))
        names += words
        attribute += range(number, number + len(words))
    return Conditions(
        tuple(names),
        np.array(attribute, dtype=np.int64),
        np.concatenate([at for at, _ in pairs]) if pairs else np.empty(0, np.int64),
        np.concatenate([which for _, which in pairs]) if pairs else np.empty(0, np.int64),
    )


def _attributes(
    data: Dataset, rows: NDArray[np.int64], split: list[list[str]]
) -> Iterator[tuple[list[str], NDArray[np.int64]]]:
    """For each attribute the names of its levels, and each row's level. `split` has the words of texts."""
    columns = data.ref.columns(Role.SENSITIVE)
    if data.modality is Modality.TABULAR:
        columns = [*columns, *data.ref.columns(Role.INPUT)]
    for column in columns:
        kind = data.table.column(column).type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            values = data.table.column(column).cast(pa.float64()).to_numpy()[rows]
            if len(np.unique(values[np.isfinite(values)])) > FEW_NUMBERS:
                yield _ranges(column, values)
                continue
        levels, index = np.unique(data.groups(column)[rows], return_inverse=True)
        if len(levels) <= MOST_LEVELS:
            yield [f"{column}={level}" for level in levels], index
    if split:
        yield _ranges("words in the text", np.array([len(words) for words in split], dtype=np.float64))


def _ranges(name: str, values: NDArray[np.float64]) -> tuple[list[str], NDArray[np.int64]]:
    """Quarters of the finite values; what is not finite is a level of its own."""
    known = np.isfinite(values)
    edges = (
        np.unique(np.quantile(values[known], np.arange(1, RANGES) / RANGES)) if known.any() else np.empty(0)
    )
    index = np.where(known, np.searchsorted(edges, values, side="left"), len(edges) + 1)
    levels = []
    for i in range(len(edges) + 1):
        held = values[index == i]
        levels.append(f"{name}={held.min():.4g} to {held.max():.4g}" if len(held) else f"{name}=(none)")
    return [*levels, f"{name}=(missing)"], np.asarray(index)


def _words(split: list[list[str]], min_rows: int) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """The most frequent words that some texts have and some have not; pairs (text, word)."""
    held = [set(words) for words in split]
    count = Counter(word for words in held for word in words)
    usable = [w for w, c in count.items() if 2 * min_rows <= c <= len(split) - 2 * min_rows]
    chosen = sorted(usable, key=lambda word: (-count[word], word))[:MOST_WORDS]
    number = {word: i for i, word in enumerate(chosen)}
    found = [(i, number[word]) for i, words in enumerate(held) for word in words if word in number]
    at = np.array(found, dtype=np.int64).reshape(-1, 2)
    return [f"word={word}" for word in chosen], at[:, 0], at[:, 1]
