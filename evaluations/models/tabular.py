"""What tabular adapters share: scoring in chunks, and finding the rows that a model refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.models.protocol import Scores
from evaluations.spec import EvaluationError

if TYPE_CHECKING:
    import pandas as pd


def score_rows(predict: Callable[[pd.DataFrame], Any], frame: pd.DataFrame, classes: int) -> Scores:
    """Scores of every row; a row on which `predict` raises becomes an error row.

    A failing chunk is halved until the rows at fault are alone. Where more than 32 rows plus
    5 % fail, the model does not fit the data at all and EvaluationError `model_failed` says why.
    """
    scores = Scores.blank(len(frame), classes)
    allowed = 32 + len(frame) // 20
    pending = [np.arange(len(frame))] if len(frame) else []
    while pending:
        rows = pending.pop()
        try:
            probs = np.asarray(predict(frame.iloc[rows]))
            if probs.shape != (len(rows), classes):
                raise ValueError(f"it returned shape {probs.shape} instead of {(len(rows), classes)}")
            scores.put(rows, Scores.checked(probs))
        except MemoryError:
            raise
        except Exception as error:  # whatever a third party's pipeline raises concerns these rows only
            if re.search(
                r"bad_alloc|allocate memory|bad allocation|out of memory", str(error), re.IGNORECASE
            ):
                raise MemoryError from error  # onnxruntime's, which shares no class with Python's
            if len(rows) > 1:
                pending += np.array_split(rows, 2)
                continue
            scores.errors[rows], scores.seen[rows] = True, True
            if scores.errors.sum() > allowed:
                raise EvaluationError(
                    "model_failed",
                    f"The model failed on {int(scores.errors.sum())} rows; the last error was "
                    f"{type(error).__name__}: {str(error)[:300]}. Check that the data set has the columns and types "
                    "that the model was trained on.",
                ) from error
    return scores
