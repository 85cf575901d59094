"""SHAP over any game: Owen values over a tree of its features, and Shapley values over random permutations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from evaluations.explainability import shap_setup
from evaluations.explainability.attributing import Attribution, ends
from evaluations.explainability.feature_trees import tree_of
from evaluations.explainability.games import Game, Remembered
from evaluations.explainability.owen import Coalitions, owen

BUDGET = 500  # coalitions an example, SHAP's own number


def partition_shap(game: Game, target: int, rng: np.random.Generator, budget: int = BUDGET) -> Attribution:
    """Owen values: features share what their group of the tree is worth. `rng` breaks ties of the search."""
    held = remembered(game)
    before = held.queries
    if len(game.features) < 2:
        return alone(held, target)
    found = owen(
        lambda present: held.outputs(present)[:, target : target + 1],
        tree_of(held.game),
        budget,
        rng.standard_normal,
    )
    return Attribution(
        found.values[:, 0], float(found.base[0]), float(found.output[0]), held.queries - before
    )


def permutation_shap(game: Game, target: int, rng: np.random.Generator, budget: int = BUDGET) -> Attribution:
    """Shapley values over as many random orders, each forward and backward, as the budget holds; at least one."""
    held = remembered(game)
    before = held.queries
    total = len(game.features)
    if total < 2:
        return alone(held, target)
    shap = shap_setup.imported()
    masker = Coalitions(np.empty((total - 1, 4)))
    masker.clustering = None  # any order of the features may be drawn
    with global_draws_kept():
        explainer = shap.PermutationExplainer(
            lambda present: held.outputs(present)[:, target : target + 1],
            masker,
            seed=int(rng.integers(2**32)),
        )
        row = explainer.explain_row(
            np.zeros(total),
            max_evals=max(budget, 2 * total + 1),
            main_effects=False,
            error_bounds=False,
            batch_size=2 * total + 1,
            outputs=None,
            silent=True,
        )
    base, output = ends(held, target)
    return Attribution(np.asarray(row["values"])[:, 0], base, output, held.queries - before)


def remembered(game: Game) -> Remembered:
    """The game with a memory; one that has it keeps it, so that what was asked before is not asked again."""
    return game if isinstance(game, Remembered) else Remembered(game)


def alone(game: Remembered, target: int) -> Attribution:
    """A single feature has all that the output gains; without features there is nothing to share."""
    base, output = ends(game, target)
    return Attribution(np.array([output - base] * len(game.features)), base, output, game.queries)


@contextlib.contextmanager
def global_draws_kept() -> Iterator[None]:
    """SHAP seeds numpy's global generator and shuffles with it: afterwards that is as it was."""
    before = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(before)
