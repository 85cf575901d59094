"""What an attribution is, and the methods that make one, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from evaluations.explainability.games import Game, everything, without_each

if TYPE_CHECKING:
    from numpy.typing import NDArray

Unit = Literal["probability", "log-odds"]


@dataclass(frozen=True)
class Attribution:
    """How much each feature speaks for one class, in `unit` of that class.

    `base` is the output with every feature absent, `output` that with all present; a method that is complete
    has values.sum() == output - base.
    """

    values: NDArray[np.float64]  # (F,)
    base: float
    output: float
    queries: int
    unit: Unit = "probability"
    delta: float | None = None  # integrated gradients: what the steps miss of output − base


Explainer = Callable[[Game, int, np.random.Generator], Attribution]
"""(game, class to explain, generator) -> attribution. Draws come from the generator alone."""


def ends(game: Game, target: int) -> tuple[float, float]:
    """The probability of `target` with nothing present, and with everything."""
    present = np.concatenate([np.zeros_like(everything(game)), everything(game)])
    base, output = game.outputs(present)[:, target]
    return float(base), float(output)


def occlusion(game: Game, target: int, rng: np.random.Generator) -> Attribution:
    """What the output loses without each feature alone (leave-one-out)."""
    base, output = ends(game, target)
    without = game.outputs(without_each(game))[:, target]
    return Attribution(output - without, base, output, queries=len(without) + 2)


def chance(game: Game, target: int, rng: np.random.Generator) -> Attribution:
    """Values that have nothing to do with the model: the yardstick that every method must beat."""
    base, output = ends(game, target)
    return Attribution(rng.normal(size=len(game.features)), base, output, queries=2)


def partition_shap(game: Game, target: int, rng: np.random.Generator) -> Attribution:
    from evaluations.explainability import shapley

    return shapley.partition_shap(game, target, rng)


def permutation_shap(game: Game, target: int, rng: np.random.Generator) -> Attribution:
    from evaluations.explainability import shapley

    return shapley.permutation_shap(game, target, rng)


def tree_shap(game: Game, target: int, rng: np.random.Generator) -> Attribution:
    from evaluations.explainability.opened import explain

    return explain(game, target, "tree_shap")


def linear_shap(game: Game, target: int, rng: np.random.Generator) -> Attribution:
    from evaluations.explainability.opened import explain

    return explain(game, target, "linear_shap")


def integrated_gradients(game: Game, target: int, rng: np.random.Generator) -> Attribution:
    from evaluations.explainability import integrated_gradients as method

    return method.explain(game, target)


EXPLAINERS: dict[str, Explainer] = {
    "partition_shap": partition_shap,
    "permutation_shap": permutation_shap,
    "tree_shap": tree_shap,
    "linear_shap": linear_shap,
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
    "random": chance,
}
