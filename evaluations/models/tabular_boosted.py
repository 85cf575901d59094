"""Gradient-boosted trees as classifiers and regressors, whichever library wrote them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evaluations.models.loader import agreed_labels
from evaluations.models.protocol import Predictions, Scores, Usage
from evaluations.models.tabular import predict_rows, score_rows
from evaluations.spec import Access, EvaluationError, Modality, ModelRef

if TYPE_CHECKING:
    import pandas as pd

    Ask = Callable[[pd.DataFrame], Any]


@dataclass
class BoostedClassifier:
    """`ask` maps a frame to class probabilities (n, K). `trees` is the library's Booster, if it reads numbers only."""

    modality: ClassVar[Modality] = Modality.TABULAR
    access: ClassVar[Access] = Access.LABEL | Access.PROBS
    device: ClassVar[str] = "cpu"

    adapter: str
    columns: tuple[str, ...] | None
    labels: tuple[str, ...]
    ask: Ask
    trees: Any = None
    usage: Usage = field(default_factory=Usage)

    def predict_proba(self, rows: pd.DataFrame) -> Scores:
        self.usage.queries += len(rows)
        return score_rows(self.ask, rows, len(self.labels))


@dataclass
class BoostedRegressor:
    """`ask` maps a frame to numbers (n,), or to (n, 3): value, lower and upper bound."""

    modality: ClassVar[Modality] = Modality.TABULAR_REGRESSION
    access: ClassVar[Access] = Access.LABEL
    device: ClassVar[str] = "cpu"

    adapter: str
    columns: tuple[str, ...] | None
    ask: Ask
    usage: Usage = field(default_factory=Usage)

    def predict(self, rows: pd.DataFrame) -> Predictions:
        self.usage.queries += len(rows)
        return predict_rows(self.ask, rows)


def classifier(
    adapter: str, columns: tuple[str, ...] | None, ask: Ask, classes: int, ref: ModelRef, trees: Any = None
) -> BoostedClassifier:
    """Both libraries number their classes from 0; their names are those registered."""
    own = tuple(str(k) for k in range(classes))
    return BoostedClassifier(adapter, columns, agreed_labels(ref, own, classes), ask, trees)


def probabilities(raw: Any) -> Any:
    """(n,) or (n, 1) probabilities of the second of two classes as (n, 2)."""
    raw = np.asarray(raw, dtype=np.float64)
    if raw.ndim == 2 and raw.shape[1] > 1:
        return raw
    second = raw.reshape(len(raw))
    return np.column_stack([1 - second, second])


def wrong_objective(objective: str, modality: Modality) -> EvaluationError:
    wanted = (
        "class probabilities (such as binary:logistic or multi:softprob; LightGBM: binary, multiclass)"
        if modality is Modality.TABULAR
        else "one number per row (such as reg:squarederror; LightGBM: regression)"
    )
    return EvaluationError(
        "model_objective",
        f"The trees were trained for {objective!r}, which does not give {wanted}. Register the model as what it is, "
        "or train it for that.",
    )


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Every column as float64, missing values as NaN. Raises ValueError where a value is no number."""
    import pandas as pd

    return frame.apply(lambda column: pd.to_numeric(column, errors="raise").astype("float64"))


def json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(error) from error


def unreadable(error: Exception) -> EvaluationError:
    return EvaluationError(
        "model_unreadable",
        f"The trees could not be read ({type(error).__name__}: {str(error)[:200]}). Save them again: XGBoost "
        "Booster.save_model('model.json'), LightGBM Booster.save_model('model.txt') or dump_model() as model.json.",
    )
