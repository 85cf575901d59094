"""Guesses of a sensitive attribute: from the other columns and the label alone, and with the model's help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations.quality import halves
from evaluations.spec import Modality, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.privacy.attribute_asking import Answers

LEVELS = 100  # categories of a column; rarer ones are one
LEAST = 1e-6  # probability: what is below tells nothing more
LARGEST = 1e300  # of a number in a table


def guesses(
    answers: Answers, j: int, data: Dataset, ctx: Context
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Places of the values that imputation and attack guess for each row; −1 where there is no answer to go by.

    None where a half of the rows does not hold every value.
    """
    attribute, group = answers.attributes[j], answers.groups[j]
    ids = data.ids[answers.rows] if answers.clusters is None else answers.clusters
    first = halves.first_half(ids, ctx.seed, f"attribute:{attribute.column}")
    known, categorical = _known(answers, j, data)
    said = _said(answers, j)
    usable = (group >= 0) & ~np.isnan(said).any(axis=1)
    imputed: NDArray[np.int64] = np.full(answers.n, -1)
    attacked: NDArray[np.int64] = np.full(answers.n, -1)
    for fit in (first & usable, ~first & usable):
        if len(set(group[fit].tolist())) < len(attribute.values):
            return None
        tell = usable & (first != first[np.argmax(fit)])
        more = np.column_stack([known, said])
        imputed[tell] = _guess(known, categorical, group, fit, tell)
        attacked[tell] = _guess(more, categorical + [False] * said.shape[1], group, fit, tell)
    return imputed, attacked


def _guess(
    features: NDArray[np.float64],
    categorical: list[bool],
    group: NDArray[np.int64],
    fit: NDArray[np.bool_],
    tell: NDArray[np.bool_],
) -> NDArray[np.int64]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(
        max_iter=60,
        max_leaf_nodes=15,
        l2_regularization=1.0,
        early_stopping=False,
        class_weight="balanced",
        random_state=0,
    )
    held = ~np.isnan(features[fit]).all(axis=0)  # scikit-learn cannot bin a column that holds nothing
    trees.set_params(categorical_features=[one for one, kept in zip(categorical, held, strict=True) if kept])
    fitted = trees.fit(features[fit][:, held], group[fit])
    return np.asarray(fitted.predict(features[tell][:, held]), dtype=np.int64)


def _said(answers: Answers, j: int) -> NDArray[np.float64]:
    """What the model gives away. Where it takes the attribute: ln of its confidence in the true label with each value,
    less their mean, and whether it would answer that label; else ln of its probabilities."""
    tried = answers.tried[j]
    if tried is None:
        return np.asarray(np.log(np.clip(answers.probs, LEAST, 1.0)))
    at = np.arange(answers.n)
    confidence = np.log(np.clip(tried[at, :, answers.truth], LEAST, 1.0))
    right = np.where(
        np.isnan(confidence), np.nan, np.nan_to_num(tried).argmax(axis=2) == answers.truth[:, None]
    )
    return np.column_stack(
        [confidence - confidence.mean(axis=1, keepdims=True), confidence.mean(axis=1), right]
    )


def _known(answers: Answers, j: int, data: Dataset) -> tuple[NDArray[np.float64], list[bool]]:
    """(n, columns) of what both adversaries know: the true label, and of tables all columns but the attribute."""
    rows = answers.rows
    columns, categorical = [_codes(answers.truth)], [True]
    others = [c for c in data.ref.columns(Role.SENSITIVE) if c != answers.attributes[j].column]
    inputs = data.ref.columns(Role.INPUT) if data.modality is Modality.TABULAR else []
    for column in [*inputs, *others]:
        held = data.table.column(column).take(rows)
        if pa.types.is_integer(held.type) or pa.types.is_floating(held.type):
            values = np.asarray(held.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
            columns.append(np.where(np.abs(values) <= LARGEST, values, np.nan))
            categorical.append(False)
        else:
            columns.append(_codes(data.groups(column)[rows]))
            categorical.append(True)
    return np.column_stack(columns), categorical


def _codes(values: NDArray[np.str_] | NDArray[np.int64]) -> NDArray[np.float64]:
    """The most frequent values as 0, 1, …; all others as one more."""
    names, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.lexsort((np.arange(len(names)), -counts))
    place = np.empty(len(names))
    place[order] = np.minimum(np.arange(len(names)), LEVELS)
    return np.asarray(place[codes])
