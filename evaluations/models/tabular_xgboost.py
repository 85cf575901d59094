"""XGBoost models in the JSON that Booster.save_model writes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from evaluations.models import tabular_boosted as boosted
from evaluations.models.loader import one_file
from evaluations.spec import EvaluationError, Modality, ModelRef

if TYPE_CHECKING:
    import pandas as pd

ADAPTER = "tabular_xgboost/1"
BINARY = ("binary:logistic", "reg:logistic")
MULTICLASS = ("multi:softprob", "multi:softmax")
NUMBERS = ("reg:", "count:poisson")


class Trees:
    """A Booster beside how its columns are to be read."""

    def __init__(self, booster: Any, model: dict[str, Any]) -> None:
        self.booster = booster
        self.objective = str(model["learner"]["objective"]["name"])
        self.classes = int(model["learner"]["learner_model_param"].get("num_class", 0)) or 2
        self.columns = tuple(booster.feature_names) if booster.feature_names else None
        self.types = list(booster.feature_types or [])
        grown = model["learner"]["gradient_booster"]
        self.categories = _categories(grown.get("gbtree", grown).get("model", {}))  # dart holds a gbtree
        best = booster.attributes().get("best_iteration")
        self.rounds = (0, int(best) + 1) if best is not None else (0, 0)  # as XGBClassifier predicts

    @property
    def of_numbers(self) -> Any:
        """The Booster, where no column is one of categories."""
        return None if any(self.categories) or "c" in self.types else self.booster

    def predict(self, frame: pd.DataFrame, *, margin: bool = False) -> Any:
        return self.booster.predict(
            self._matrix(frame), output_margin=margin, iteration_range=self.rounds, strict_shape=False
        )

    def _matrix(self, frame: pd.DataFrame) -> Any:
        import pandas as pd
        import xgboost

        if not self.categories:  # a column of categories then holds the codes of training
            return xgboost.DMatrix(
                boosted.numbers(frame).to_numpy(),
                feature_names=list(self.columns) if self.columns else None,
                feature_types=self.types or None,
                enable_categorical="c" in self.types,
            )
        table = {}
        for place, known in enumerate(self.categories):
            column = frame.iloc[:, place]
            name = self.columns[place] if self.columns else str(place)
            if known is None:
                table[name] = boosted.numbers(column.to_frame()).iloc[:, 0]
                continue
            strange = set(column.dropna().tolist()) - set(known)
            if strange:  # checked here: XGBoost itself may take one for its neighbour in the alphabet
                raise ValueError(f"{strange.pop()!r} is not a category that it was trained with")
            table[name] = pd.Series(pd.Categorical(column, categories=known), index=frame.index)
        return xgboost.DMatrix(pd.DataFrame(table), enable_categorical=True)


def _categories(model: dict[str, Any]) -> list[list[Any] | None]:
    """The categories of each column, in the order of their codes; None for a column of numbers; [] for no names."""
    found: list[list[Any] | None] = []
    for column in model.get("cats", {}).get("enc", []):
        values, offsets = column["values"], column.get("offsets")
        if offsets is None:
            found.append([int(v) for v in values])
        elif len(offsets) < 2:
            found.append(None)
        else:
            text = bytes(int(v) & 0xFF for v in values)
            try:
                found.append([text[a:b].decode("ascii") for a, b in itertools.pairwise(offsets)])
            except UnicodeDecodeError as error:
                raise EvaluationError(
                    "model_categories",
                    "XGBoost saves the names of categories damaged where they hold letters beyond ASCII. "
                    "Train the model with numbers or plain English letters in their place.",
                ) from error
    return found


def load(folder: Path, ref: ModelRef) -> boosted.BoostedClassifier | boosted.BoostedRegressor:
    """The trees in the folder's one .json file. Raises EvaluationError where they are not of the kind registered."""
    import xgboost

    path = one_file(folder, "*.json")
    model = boosted.json_of(path)
    try:
        booster = xgboost.Booster()
        booster.load_model(bytearray(path.read_bytes()))
        trees = Trees(booster, model)
    except (xgboost.core.XGBoostError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise boosted.unreadable(error) from error
    if ref.modality is Modality.TABULAR:
        if trees.objective in BINARY:
            return boosted.classifier(
                ADAPTER,
                trees.columns,
                lambda frame: boosted.probabilities(trees.predict(frame)),
                2,
                ref,
                trees.of_numbers,
            )
        if trees.objective in MULTICLASS:
            return boosted.classifier(
                ADAPTER,
                trees.columns,
                lambda frame: special.softmax(
                    np.asarray(trees.predict(frame, margin=True), dtype=np.float64), axis=1
                ),
                trees.classes,
                ref,
                trees.of_numbers,
            )
    elif trees.objective.startswith(NUMBERS):
        bounds = _quantiles(model) if trees.objective == "reg:quantileerror" else None
        if bounds != ():
            return boosted.BoostedRegressor(
                ADAPTER,
                trees.columns,
                trees.predict if bounds is None else lambda frame: trees.predict(frame)[:, bounds],
            )
    raise boosted.wrong_objective(trees.objective, ref.modality)


def _quantiles(model: dict[str, Any]) -> list[int] | tuple[()] | None:
    """Columns of median, lower and upper quantile of a model of three; None where it has one; () else."""
    alphas = json.loads(model["learner"]["objective"]["quantile_loss_param"]["quantile_alpha"])
    alphas = [float(a) for a in alphas] if isinstance(alphas, list) else [float(alphas)]
    if len(alphas) == 1:
        return None
    order = [int(i) for i in np.argsort(alphas)]
    if len(alphas) == 3 and alphas[order[1]] == 0.5:
        return [order[1], order[0], order[2]]
    return ()
