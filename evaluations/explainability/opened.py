"""SHAP's explainers of trees and of linear models, for table classifiers whose insides they can read.

Both are exact: Shapley values of the game whose absent columns take the values of the background rows. Whether SHAP
reads a model rightly is checked against the model's own answers on the background before anything is explained.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from evaluations.explainability import shap_setup
from evaluations.explainability.attributing import Attribution, Unit
from evaluations.explainability.columns_kept import Kept, kept
from evaluations.explainability.games import Game, Remembered, TableGame
from evaluations.spec import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Method = Literal["tree_shap", "linear_shap"]
METHODS: tuple[Method, ...] = ("tree_shap", "linear_shap")
MOST_BACKGROUND = 100  # rows: shap itself draws from more
log = logging.getLogger(__name__)
ROUNDED = 1e-6  # of probabilities in single precision
AGREES = 1e-4  # SHAP's reading of a model against its probabilities; boosted trees add up in float32


@dataclass(frozen=True)
class Opened:
    """A model that SHAP reads. `explain` maps a matrix (n, C) to values (n, C, K) and the mean output (K,)."""

    method: Method
    unit: Unit
    inside: Kept
    explain: Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
    single: bool  # SHAP reads one output, for the second of two classes


def explain(game: Game, target: int, method: Method) -> Attribution:
    """Raises EvaluationError, as skipped, where SHAP cannot read the model that way."""
    table = game.game if isinstance(game, Remembered) else game
    found = opened(table, method) if isinstance(table, TableGame) else None
    if found is None:
        raise EvaluationError(
            "method_unsupported",
            f"SHAP's explainer of {'trees' if method == 'tree_shap' else 'linear models'} cannot read this model: it "
            "is of another kind, or its pipeline mixes columns, as one-hot encoding does. Choose 'permutation_shap', "
            "or 'auto'.",
            skipped=True,
        )
    assert isinstance(table, TableGame)
    values, base = found.explain(found.inside.matrix(table.row))
    by_column = np.zeros(len(table.features))
    by_column[found.inside.origin] = values[0, :, target]
    output = own_output(
        found, base + values[0].sum(axis=0), table.model.predict_proba(table.row).probs[0], target
    )
    return Attribution(by_column, float(base[target]), output, 1, unit=found.unit)


def own_output(found: Opened, read: NDArray[np.float64], probs: NDArray[np.float64], target: int) -> float:
    """What the model itself says of a class, in SHAP's unit; `read` (K,) is what SHAP's values add up to.

    Probabilities of boosted trees are rounded, to 1 where they are sure: of the log-odds that round to what the
    model says, those nearest to SHAP's. Raw scores of several classes are known but for what all have in common,
    which is SHAP's.
    """
    said = float(probs[target])
    if found.unit == "probability" or not np.isfinite(said):
        return said
    ends = np.clip([said - ROUNDED, said + ROUNDED], 0, 1)
    with np.errstate(divide="ignore"):
        low, high = special.logit(ends) if found.single else np.log(ends) + special.logsumexp(read)
    return float(np.clip(read[target], low, high))


_last: list[tuple[Any, Any, Method, Opened | None]] = []  # games of one run share model and background


def opened(game: TableGame, method: Method) -> Opened | None:
    """The model of the game as SHAP reads it; None where it cannot, or reads something else than the model says."""
    for model, background, name, found in _last:
        if model is game.model and background is game.background and name == method:
            return found
    made = _open(game, method)
    _last[:] = [*_last[-1:], (game.model, game.background, method, made)]
    return made


def _open(game: TableGame, method: Method) -> Opened | None:
    model, background = game.model, game.background.iloc[:MOST_BACKGROUND]
    source = getattr(model, "estimator", None) or getattr(model, "trees", None)
    inside = None if source is None else kept(source, list(background.columns))
    if inside is None:
        return None
    scores = model.predict_proba(background)
    classes = len(model.labels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            matrix = inside.matrix(background)
            read = _reader(method, inside.last, matrix)
            values, stated = read(matrix)
            shares = values.sum(axis=1)
            base, unit = _start(stated, shares, scores.probs)
    except (MemoryError, EvaluationError):
        raise
    except Exception as error:  # noqa: BLE001  # whatever SHAP raises on a model that it does not support
        log.info("%s cannot read the model: %s: %s", method, type(error).__name__, error)
        return None
    if unit is not None and values.shape[1] == len(inside.origin):

        def explained(rows: NDArray[np.float64]) -> NDArray[np.float64]:
            return _by_class(read(rows)[0], base, unit, classes)

        return Opened(method, unit, inside, explained, single=len(base) < classes)
    return None


Read = Callable[["NDArray[np.float64]"], "tuple[NDArray[np.float64], NDArray[np.float64]]"]


def _reader(method: Method, last: Any, matrix: NDArray[np.float64]) -> Read:
    """Maps a matrix (n, C) to values (n, C, k) and the mean outputs (k,), k one or the number of classes."""
    shap = shap_setup.imported()
    made: Any
    if method == "tree_shap":
        # The sum that the trees vote: what shap makes of it for a probability is rescaled, no Shapley value.
        made = shap.TreeExplainer(last, single(matrix), feature_perturbation="interventional")
        how = {"check_additivity": False}  # checked here, against the model itself
    else:
        made = shap.LinearExplainer(last, shap.maskers.Independent(matrix, max_samples=MOST_BACKGROUND))
        how = {}

    def read(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        asked = single(rows) if method == "tree_shap" else rows
        values = np.asarray(made.shap_values(asked, **how), dtype=np.float64)
        return values.reshape(*rows.shape, -1), np.asarray(made.expected_value, dtype=np.float64).reshape(-1)

    return read


def single(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded to single precision, in which shap 0.51 compares parts of what it is given: else sums do not come out."""
    return matrix.astype(np.float32).astype(np.float64)


def _start(
    stated: NDArray[np.float64], shares: NDArray[np.float64], probs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Unit | None]:
    """Where the values (n, k) start from, and their unit; None where they do not add up to the model's own answers.

    Where the start that shap states is none, as with several versions of histogram boosting and XGBoost, whose
    intercepts it does not read, it is what the model's log-odds leave over.
    """
    unit = _unit(stated + shares, probs)
    if unit is not None:
        return stated, unit
    with np.errstate(divide="ignore", invalid="ignore"):
        if shares.shape[1] == 1 and probs.shape[1] == 2:
            own = (special.logit(probs[:, 1:]) - shares).mean(axis=0)
        elif (
            shares.shape == probs.shape
        ):  # known but for what all classes have in common: the first keeps its own
            left = (np.log(probs) - shares).mean(axis=0)
            own = stated[0] + left - left[0]
        else:
            return stated, None
    return own, _unit(own + shares, probs) if np.isfinite(own).all() else None


def _unit(read: NDArray[np.float64], probs: NDArray[np.float64]) -> Unit | None:
    """What the (n, k) outputs that SHAP reads are, held against the model's (n, K) probabilities."""
    if read.shape[1] == 1 and probs.shape[1] == 2:
        kinds: dict[Unit, Any] = {"probability": read[:, 0], "log-odds": special.expit(read[:, 0])}
        probs = probs[:, 1]
    elif read.shape == probs.shape:
        kinds = {"probability": read, "log-odds": special.softmax(read, axis=1)}
    else:
        return None
    return next((unit for unit, said in kinds.items() if np.abs(said - probs).max() <= AGREES), None)


def _by_class(
    values: NDArray[np.float64], base: NDArray[np.float64], unit: Unit, classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One output, for the second of two classes, as one for each."""
    if len(base) == classes:
        return values, base
    first = 1 - base if unit == "probability" else -base
    return np.concatenate([-values, values], axis=2), np.concatenate([first, base])
