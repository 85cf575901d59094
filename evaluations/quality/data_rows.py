"""Duplicates, leakage between splits and gaps: counts over the whole data set."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from evaluations.quality import near_texts
from evaluations.records import not_estimable
from evaluations.spec import Example, Metric, Modality, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

SHOWN = (
    "duplicates",
    "near_duplicates",
    "conflicting_labels",
    "leakage",
    "near_leakage",
    "cluster_leakage",
    "missing",
)
MOST_EXAMPLES = 10
TEXT_SHOWN = 500  # characters
WORD = re.compile(r"\w+")
NO_TRAIN = "No split is named train, so nothing can have leaked from it. Give a column the role split."


def measure(data: Dataset) -> list[Metric]:
    """Every metric of quality.data that is a count."""
    n = data.rows
    same = keys(data)
    found = [Metric(name="duplicates", value=repeated(same), n=n)]
    alike = None if data.modality is Modality.IMAGE_CLASSIFIER else keys(data, near=True)
    if alike is None:
        found.append(not_estimable("near_duplicates", n, IMAGES))
    else:
        found.append(Metric(name="near_duplicates", value=repeated(alike), n=n))
    return [*found, _conflicts(data, same), *_leakage(data, same, alike), *_missing(data)]


IMAGES = "Near duplicates of images are not looked for."


# --- which inputs are the same --------------------------------------------------------------------


def keys(data: Dataset, near: bool = False) -> NDArray[np.int64]:
    """A number per row, equal where the inputs (and passages) are, or are alike."""
    found: NDArray[np.int64] = np.zeros(data.rows, dtype=np.int64)
    for column in (*data.ref.columns(Role.INPUT), *data.ref.columns(Role.CONTEXT)):
        codes = _codes(data.table.column(column), near)
        found = np.unique(found * (int(codes.max()) + 1) + codes, return_inverse=True)[1]
    return found


def _codes(column: pa.ChunkedArray, near: bool) -> NDArray[np.int64]:
    """A number per cell, equal where the values are, or are alike. Each distinct value is looked at once."""
    values = column.combine_chunks()
    try:
        encoded = values.dictionary_encode(null_encoding="encode")
        distinct, index = encoded.dictionary, np.asarray(encoded.indices, np.int64)
        if not near:
            return index
    except pa.ArrowNotImplementedError:  # lists, images
        distinct, index = values, np.arange(len(values))
    turned = [_plain(v) if near else _whole(v) for v in distinct.to_pylist()]
    if near and (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        texts = sorted({text or "" for text in turned})  # whatever the order of the rows
        group = dict(zip(texts, near_texts.groups([text.split() for text in texts]).tolist(), strict=True))
        return np.array([group[text or ""] for text in turned], dtype=np.int64)[index]
    number: dict[str, int] = {}
    return np.array([number.setdefault(repr(v), len(number)) for v in turned], dtype=np.int64)[index]


def _whole(value: Any) -> Any:
    """An image counts by its bytes, wherever it lay."""
    held = value.get("bytes") if isinstance(value, dict) else value
    return hashlib.sha256(held).hexdigest() if isinstance(held, bytes) else held


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(WORD.findall(unicodedata.normalize("NFKC", value).casefold())) or value
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{float(value):.4g}"
    return value


def repeated(key: NDArray[np.int64]) -> float:
    """Share of rows that repeat another: 1 − distinct/rows."""
    return 1 - len(np.unique(key)) / len(key)


# --- what repetition means ------------------------------------------------------------------------


def _conflicts(data: Dataset, same: NDArray[np.int64]) -> Metric:
    name = "conflicting_labels"
    if not data.ref.columns(Role.TARGET):
        return not_estimable(name, data.rows, "No column has the role target.")
    labels = pa.array(
        [repr(label) for label in data.table.column(data.ref.columns(Role.TARGET)[0]).to_pylist()]
    )
    codes = np.asarray(labels.dictionary_encode().indices)
    pairs = np.unique(np.column_stack([same, codes]), axis=0)
    kinds = np.bincount(pairs[:, 0], minlength=int(same.max()) + 1)
    return Metric(name=name, value=float((kinds[same] > 1).mean()), n=data.rows)


def _leakage(data: Dataset, same: NDArray[np.int64], alike: NDArray[np.int64] | None) -> list[Metric]:
    names = ("leakage", "near_leakage", "cluster_leakage")
    train = data.split == "train" if data.split is not None else np.zeros(data.rows, dtype=bool)
    n = int((~train).sum())
    if not train.any() or not n:
        return [not_estimable(name, n, NO_TRAIN) for name in names]

    def leaked(key: NDArray[Any]) -> float:
        return float(np.isin(key[~train], key[train]).mean())

    return [
        Metric(name="leakage", value=leaked(same), n=n),
        not_estimable("near_leakage", n, IMAGES)
        if alike is None
        else Metric(name="near_leakage", value=leaked(alike), n=n),
        not_estimable("cluster_leakage", n, "No column has the role cluster.")
        if data.clusters is None
        else Metric(name="cluster_leakage", value=leaked(data.clusters), n=n),
    ]


# --- gaps -----------------------------------------------------------------------------------------


def _missing(data: Dataset) -> list[Metric]:
    columns = [*data.ref.columns(Role.INPUT), *data.ref.columns(Role.SENSITIVE)]
    gaps = [_empty(data.table.column(column)) for column in columns]
    n = data.rows
    return [
        Metric(name="missing", value=sum(gaps) / (n * len(columns)), n=n * len(columns)),
        *(
            Metric(name="missing_in_column", value=gap / n, n=n, slice=column)
            for column, gap in zip(columns, gaps, strict=True)
        ),
    ]


def _empty(column: pa.ChunkedArray) -> int:
    """Cells that are null, not a number, or an empty text."""
    kind = column.type
    if pa.types.is_floating(kind):
        return int(pa.compute.sum(pa.compute.is_null(column, nan_is_null=True)).as_py() or 0)
    blank = 0
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        trimmed = pa.compute.utf8_trim_whitespace(column)
        blank = int(pa.compute.sum(pa.compute.equal(trimmed, "")).as_py() or 0)
    return int(column.null_count) + blank


# --- shown to people ------------------------------------------------------------------------------


def examples(data: Dataset) -> list[Example]:
    """Rows outside train whose input is in train, by id."""
    if data.split is None or not (data.split == "train").any():
        return []
    train = data.split == "train"
    same = keys(data) if data.modality is Modality.IMAGE_CLASSIFIER else keys(data, near=True)
    first: dict[int, int] = {}
    for row in data.by_id.tolist():
        if train[row]:
            first.setdefault(int(same[row]), row)
    shown = [int(row) for row in data.by_id if not train[row] and int(same[row]) in first][:MOST_EXAMPLES]
    return [
        Example(
            id=str(data.ids[row]),
            kind="leaked",
            before=_text(data, first[int(same[row])]),
            after=_text(data, row),
            facts={"split": str(data.split[row]), "same as": str(data.ids[first[int(same[row])]])},
        )
        for row in shown
    ]


def _text(data: Dataset, row: int) -> str:
    if data.modality in (Modality.IMAGE_CLASSIFIER,):
        return ""
    columns = data.ref.columns(Role.INPUT)
    return "; ".join(str(data.table.column(c)[row].as_py()) for c in columns)[:TEXT_SHOWN]
