"""LightGBM models: the text that Booster.save_model writes, or the JSON of Booster.dump_model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.models import tabular_boosted as boosted
from evaluations.models.lightgbm_trees import Forest
from evaluations.models.loader import one_file
from evaluations.spec import EvaluationError, Modality, ModelRef

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

ADAPTER = "tabular_lightgbm/1"
NUMBERS = (
    "regression",
    "regression_l1",
    "huber",
    "fair",
    "poisson",
    "quantile",
    "mape",
    "gamma",
    "tweedie",
)


class Trees:
    """Trees beside how their columns are to be read: categories as their place in the list of training."""

    def __init__(
        self,
        predict: Callable[[NDArray[np.float64]], Any],
        names: list[str],
        objective: str,
        outputs: int,
        categories: list[tuple[int, list[Any]]],
        booster: Any = None,
    ) -> None:
        self.predict_matrix = predict
        named = bool(names) and not all(n == f"Column_{i}" for i, n in enumerate(names))
        self.columns = tuple(names) if named else None
        self.width = len(names)
        self.objective = objective
        self.outputs = outputs
        self.categories = dict(categories)
        self.of_numbers = None if self.categories else booster  # where no column is one of categories

    def predict(self, frame: pd.DataFrame) -> Any:
        if frame.shape[1] != self.width:
            raise ValueError(f"it reads {self.width} columns, not {frame.shape[1]}")
        matrix = np.empty(frame.shape)
        for place in range(self.width):
            column = frame.iloc[:, place]
            known = self.categories.get(place)
            if known is None:
                matrix[:, place] = boosted.numbers(column.to_frame()).to_numpy()[:, 0]
            else:  # what training did not see is missing, as LightGBM itself reads it
                matrix[:, place] = _codes(column.to_list(), known)
        return self.predict_matrix(matrix)


def _codes(values: list[Any], known: list[Any]) -> list[float]:
    places = {category: float(i) for i, category in enumerate(known)}
    return [places.get(value, np.nan) if value is not None and value == value else np.nan for value in values]


def load(folder: Path, ref: ModelRef) -> boosted.BoostedClassifier | boosted.BoostedRegressor:
    """The trees in the folder's one .txt or .json file. Raises EvaluationError where they are of another kind."""
    texts = [p for p in folder.glob("*.txt") if p.is_file() and p.read_bytes()[:4] == b"tree"]
    trees = _from_text(texts[0]) if len(texts) == 1 else _from_json(one_file(folder, "*.json"))
    objective = trees.objective.split()[0] if trees.objective else ""
    if ref.modality is Modality.TABULAR:
        if objective in ("binary", "cross_entropy", "xentropy"):
            return boosted.classifier(
                ADAPTER,
                trees.columns,
                lambda frame: boosted.probabilities(trees.predict(frame)),
                2,
                ref,
                trees.of_numbers,
            )
        if objective == "multiclass":
            return boosted.classifier(
                ADAPTER, trees.columns, trees.predict, trees.outputs, ref, trees.of_numbers
            )
    elif objective in NUMBERS:
        return boosted.BoostedRegressor(ADAPTER, trees.columns, trees.predict)
    raise boosted.wrong_objective(trees.objective, ref.modality)


def _from_text(path: Path) -> Trees:
    import lightgbm

    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        booster = lightgbm.Booster(model_str=text)
        head = booster.dump_model(num_iteration=1)
        tail = text.rstrip().rpartition("pandas_categorical:")[2]
        lists = json.loads(tail) if "pandas_categorical:" in text else None
        return Trees(
            booster.predict,
            [str(n) for n in booster.feature_name()],
            str(head.get("objective", "")),
            int(head["num_tree_per_iteration"]),
            _categories(head, lists),
            booster,
        )
    except (lightgbm.basic.LightGBMError, KeyError, TypeError, ValueError, IndexError) as error:
        raise boosted.unreadable(error) from error


def _from_json(path: Path) -> Trees:
    model = boosted.json_of(path)
    try:
        forest = Forest(model)
        return Trees(
            forest.predict,
            [str(n) for n in model["feature_names"]],
            forest.objective,
            forest.outputs,
            _categories(model, model.get("pandas_categorical")),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise boosted.unreadable(error) from error


def _categories(model: dict[str, Any], lists: list[list[Any]] | None) -> list[tuple[int, list[Any]]]:
    """(column, categories) of the columns that pandas called categorical, in their order.

    The file lists the categories but not whose they are: a column of categories is one whose range
    is a list of codes. Raises `model_categories` where the two do not fit.
    """
    if not lists:
        return []
    names = model["feature_names"]
    coded = [i for i, name in enumerate(names) if model["feature_infos"].get(name, {}).get("values")]
    if len(coded) != len(lists):
        raise EvaluationError(
            "model_categories",
            f"The model has {len(lists)} lists of categories, but {len(coded)} columns that use them. Train it without "
            "constant categorical columns, or with numbers in their place.",
        )
    return list(zip(coded, lists, strict=True))
