"""Drift between two splits: each column by itself, and all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from scipy import stats as scipy_stats

from evaluations import stats
from evaluations.data.dataset import MISSING_GROUP
from evaluations.quality import halves
from evaluations.quality.classification_scores import auroc
from evaluations.records import not_estimable
from evaluations.spec import Metric, Modality, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

TENTHS = 10
FEW_NUMBERS = 10  # numbers of so few distinct values are levels
MOST_LEVELS = 200
FOLDS = 5
MOST_ROWS = 20_000  # for the classifier
FEWEST_ROWS = 20  # of each split
TABULAR = (Modality.TABULAR, Modality.TABULAR_REGRESSION)
NO_SPLITS = "The data set has no two splits to compare. Give a column the role split."
CLUSTERED = "The tests hold for independent rows only, and these are clustered."


def measure(data: Dataset, seed: int) -> list[Metric]:
    """PSI and adjusted p per column, and the AUC of a classifier of the split."""
    n = data.rows
    sides = _sides(data)
    if sides is None:
        return [
            not_estimable("psi", n, NO_SPLITS, "all columns"),
            not_estimable("drift_p", n, NO_SPLITS, "all columns"),
            not_estimable("drift_auc", n, NO_SPLITS),
        ]
    before, after = sides
    named = list(_columns(data))
    found, p = [], []
    for name, values in named:
        a, b = values[before], values[after]
        found.append(Metric(name="psi", value=psi(*_cells(a, b)), n=len(a) + len(b), slice=name))
        p.append(difference_p(a, b))
    adjusted = stats.holm(np.array(p))
    for (name, _), q in zip(named, adjusted, strict=True):
        size = int(before.sum() + after.sum())
        if data.clusters is None:
            found.append(Metric(name="drift_p", value=float(q), n=size, slice=name))
        else:
            found.append(not_estimable("drift_p", size, CLUSTERED, name))
    return [*found, _auc(data, before, after, seed)]


def _sides(data: Dataset) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Train against test where they are so named; else the largest split against the others, ood apart."""
    if data.split is None:
        return None
    names, counts = np.unique(data.split[data.split != "ood"], return_counts=True)
    if len(names) < 2:
        return None
    first = "train" if "train" in names else str(names[np.argmax(counts)])
    before = data.split == first
    after = data.split == "test" if "test" in names and first != "test" else ~before & (data.split != "ood")
    return before, after


def _columns(data: Dataset) -> Iterator[tuple[str, NDArray[Any]]]:
    """What can be compared: numbers as floats (NaN: missing), levels as texts."""
    if data.modality in TABULAR:
        for column in data.ref.columns(Role.INPUT):
            yield column, _values(data, column)
    elif data.modality is Modality.IMAGE_CLASSIFIER:
        sizes = [len(image) for image in data.images(np.arange(data.rows))]
        yield "bytes of the image", np.array(sizes, dtype=np.float64)
    elif data.modality is Modality.TOKEN_CLASSIFIER:
        yield "words in the text", np.array([len(words) for words in data.words], dtype=np.float64)
    else:
        yield "words in the text", np.array([len(text.split()) for text in data.texts], dtype=np.float64)
        yield "characters in the text", np.array([len(text) for text in data.texts], dtype=np.float64)


def _values(data: Dataset, column: str) -> NDArray[Any]:
    kind = data.table.column(column).type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = np.asarray(data.table.column(column).cast(pa.float64()).to_numpy(), dtype=np.float64)
        if len(np.unique(numbers[np.isfinite(numbers)])) > FEW_NUMBERS:
            return numbers
    levels = data.groups(column)
    names, index, counts = np.unique(levels, return_inverse=True, return_counts=True)
    if len(names) > MOST_LEVELS:  # the rare ones together
        kept = counts >= np.sort(counts)[-MOST_LEVELS]
        return np.where(kept[index], levels, "(other)")
    return levels


def _cells(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts of both sides over tenths of the first (what is missing apart), or over levels."""
    if a.dtype.kind == "f":
        known = a[np.isfinite(a)]
        edges = np.unique(np.quantile(known, np.arange(1, TENTHS) / TENTHS)) if len(known) else np.empty(0)
        bins = len(edges) + 2

        def of(values: NDArray[Any]) -> NDArray[np.int64]:
            index = np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), bins - 1)
            return np.bincount(index, minlength=bins)

        found = of(a), of(b)
    else:
        names, index = np.unique(np.concatenate([a, b]), return_inverse=True)
        found = (
            np.bincount(index[: len(a)], minlength=len(names)),
            np.bincount(index[len(a) :], minlength=len(names)),
        )
    held = found[0] + found[1] > 0
    return found[0][held], found[1][held]


def psi(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    """Σ (a − b)·ln(a/b) of the shares, half a row added to each cell so that an empty one counts as nearly so."""
    a, b = (before + 0.5) / (before.sum() + len(before) / 2), (after + 0.5) / (after.sum() + len(after) / 2)
    return float(((b - a) * np.log(b / a)).sum())


def difference_p(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Two-sample Kolmogorov–Smirnov of the numbers, χ² of the levels."""
    if a.dtype.kind == "f":
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        return float(scipy_stats.ks_2samp(a, b, method="auto").pvalue) if len(a) and len(b) else 1.0
    cells = np.array(_cells(a, b))
    return float(scipy_stats.chi2_contingency(cells, correction=False).pvalue) if cells.shape[1] > 1 else 1.0


# --- all together ---------------------------------------------------------------------------------


def _auc(data: Dataset, before: NDArray[np.bool_], after: NDArray[np.bool_], seed: int) -> Metric:
    """AUC of the scores that each fold gets from a classifier fitted to the other four."""
    name = "drift_auc"
    rows = data.by_id[(before | after)[data.by_id]]
    if data.modality is Modality.IMAGE_CLASSIFIER:
        return not_estimable(name, len(rows), "Images are compared by their size only.")
    if min(before.sum(), after.sum()) < FEWEST_ROWS:
        return not_estimable(name, len(rows), f"Each split needs {FEWEST_ROWS} rows to be told apart.")
    names = data.ids if data.clusters is None else data.clusters
    if len(rows) > MOST_ROWS:
        chosen = np.argsort(halves.uniforms(data.ids[rows], seed, "drift rows"), kind="stable")[:MOST_ROWS]
        rows = rows[np.sort(chosen)]
    fold = (halves.uniforms(names[rows], seed, "drift folds") * FOLDS).astype(int)
    truth, features = after[rows], _features(data, rows)
    scores = np.full(len(rows), np.nan)
    for k in range(FOLDS):
        held = fold == k
        if held.any() and len(np.unique(truth[~held])) == 2:
            model = _classifier(data)
            model.fit(features[~held], truth[~held])
            scores[held] = model.predict_proba(features[held])[:, 1]
    judged = np.isfinite(scores)
    m, n = int((truth & judged).sum()), int((~truth & judged).sum())
    if not m or not n:
        return not_estimable(name, len(rows), "The splits are too small, or too clustered, to be told apart.")
    value = auroc(truth[judged], scores[judged])
    interval = None if data.clusters is not None else stats.auc_interval(value, m, n)
    return Metric(name=name, value=value, interval=interval, n=len(rows))


def _features(data: Dataset, rows: NDArray[np.int64]) -> Any:
    """Words by hashing for texts; numbers and codes of levels for tables."""
    if data.modality not in TABULAR:
        from sklearn.feature_extraction.text import HashingVectorizer

        texts = (
            [" ".join(data.words[i]) for i in rows]
            if data.modality is Modality.TOKEN_CLASSIFIER
            else [data.texts[i] for i in rows]
        )
        return HashingVectorizer(n_features=2**16).transform(texts)
    columns = []
    for _, values in _columns(data):
        if values.dtype.kind == "f":
            columns.append(values[rows])
        else:
            codes = np.unique(values, return_inverse=True)[1].astype(np.float64)
            columns.append(np.where(values == MISSING_GROUP, np.nan, codes)[rows])
    return np.column_stack(columns)


def _classifier(data: Dataset) -> Any:
    if data.modality in TABULAR:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(max_iter=50, early_stopping=False, random_state=0)
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=500)
