"""What tabular adapters share: scoring in chunks, and finding the rows that a model refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.models.onnx_session import refused_memory
from evaluations.models.protocol import Predictions, Scores
from evaluations.spec import EvaluationError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


def score_rows(predict: Callable[[pd.DataFrame], Any], frame: pd.DataFrame, classes: int) -> Scores:
    """Class probabilities of every row; a row on which `predict` raises becomes an error row."""
    scores = Scores.blank(len(frame), classes)

    def ask(rows: NDArray[np.int64]) -> None:
        scores.put(rows, Scores.checked(_shaped(predict(frame.iloc[rows]), (len(rows), classes))))

    failed = by_halves(ask, len(frame))
    scores.errors[failed], scores.seen[failed] = True, True
    return scores


def predict_rows(predict: Callable[[pd.DataFrame], Any], frame: pd.DataFrame) -> Predictions:
    """A number for every row; a row on which `predict` raises, or gives no finite number, becomes an error row.

    `predict` gives (n,) or (n, 1) numbers, or (n, 3): value, lower and upper end of the model's own interval.
    """
    found = np.full((len(frame), 3), np.nan)
    bounded = False

    def ask(rows: NDArray[np.int64]) -> None:
        nonlocal bounded
        values = np.asarray(predict(frame.iloc[rows]), dtype=np.float64)
        bounded = values.ndim == 2 and values.shape[1] == 3
        if not bounded:
            values = _shaped(values.reshape(len(values), -1), (len(rows), 1))
        found[rows, : values.shape[1]] = _shaped(values, (len(rows), values.shape[1]))

    by_halves(ask, len(frame))
    used = found if bounded else found[:, :1]
    errors = ~np.isfinite(used).all(axis=1)
    found[errors] = np.nan
    return Predictions(
        found[:, 0], errors, found[:, 1] if bounded else None, found[:, 2] if bounded else None
    )


def by_halves(ask: Callable[[NDArray[np.int64]], None], n: int) -> NDArray[np.int64]:
    """Asks for all rows at once; a failing chunk is halved until the rows at fault are alone. Returns those.

    Where more than 32 rows plus 5 % fail, the model does not fit the data at all and EvaluationError
    `model_failed` says why.
    """
    failed: list[int] = []
    pending = [np.arange(n)] if n else []
    while pending:
        rows = pending.pop()
        try:
            ask(rows)
        except (MemoryError, EvaluationError):
            raise
        except Exception as error:  # whatever a third party's pipeline raises concerns these rows only
            if refused_memory(error):
                raise MemoryError from error
            if len(rows) > 1:
                pending += np.array_split(rows, 2)
                continue
            failed.append(int(rows[0]))
            if len(failed) > 32 + n // 20:
                raise EvaluationError(
                    "model_failed",
                    f"The model failed on {len(failed)} rows; the last error was "
                    f"{type(error).__name__}: {str(error)[:300]}. Check that the data set has the columns and types "
                    "that the model was trained on.",
                ) from error
    return np.array(failed, dtype=np.int64)


def _shaped(values: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    values = np.asarray(values)
    if values.shape != shape:
        raise ValueError(f"it returned shape {values.shape} instead of {shape}")
    return values
