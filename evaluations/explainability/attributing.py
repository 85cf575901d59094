"""What an attribution is, and the methods that make one, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations.explainability.games import Game, everything, without_each

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Attribution:
    """How much each feature speaks for one class, in probability of that class.

    `base` is the output with every feature absent, `output` that with all present; a method that is complete
    has values.sum() == output - base.
    """

    values: NDArray[np.float64]  # (F,)
    base: float
    output: float
    queries: int


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


EXPLAINERS: dict[str, Explainer] = {"occlusion": occlusion, "random": chance}
