"""Asks a model about rows that it may refuse: each refused row is an error row, however many there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from evaluations.data.columns import LARGEST
from evaluations.models.protocol import Predictions, Scores
from evaluations.spec import EvaluationError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evaluations.models.protocol import Classifier, Regressor

T = TypeVar("T")
FEW = 32  # of so few rows an adapter gives up on none, even if it fails on all


def scores_of(model: Classifier, frame: pd.DataFrame) -> Scores:
    parts = _patiently(model.predict_proba, frame)
    probs, errors, seen = zip(*((part.probs, part.errors, part.seen) for part in parts), strict=True)
    return Scores(np.concatenate(probs), np.concatenate(errors), np.concatenate(seen))


def values_of(model: Regressor, frame: pd.DataFrame) -> NDArray[np.float64]:
    """(n,), NaN where there is no answer, or one too large to reckon with."""
    parts: list[Predictions] = _patiently(model.predict, frame)
    values = np.concatenate([np.where(part.errors, np.nan, part.values) for part in parts])
    return np.where(np.abs(values) <= LARGEST, values, np.nan)


def _patiently(ask: Callable[[pd.DataFrame], T], frame: pd.DataFrame) -> list[T]:
    """Answers to consecutive parts of the frame.

    An adapter that fails on many rows of one question gives up, since it takes the data for unfit. These rows are meant
    to be unfit: then it is asked about a few at a time, so that the answers do not depend on how rows are put together.
    """
    try:
        return [ask(frame)]
    except EvaluationError as error:
        if error.code != "model_failed" or len(frame) <= FEW:
            raise
    return [ask(frame.iloc[start : start + FEW]) for start in range(0, len(frame), FEW)]
