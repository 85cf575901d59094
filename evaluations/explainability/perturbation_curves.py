"""What is left of an answer as features are removed in an order: comprehensiveness, sufficiency, AOPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.explainability.games import Game

PERCENT = (1, 5, 10, 20, 50)  # of the features, as ERASER has it (DeYoung et al. 2020, arXiv 1911.03429)


def counts(total: int) -> NDArray[np.int64]:
    """How many of `total` features each of PERCENT is: max(1, ⌈k·len⌉), in whole numbers, so that 10 % of 70 is 7."""
    return np.array([max(1, -(-percent * total // 100)) for percent in PERCENT], dtype=np.int64)


def order_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Features from the one that speaks most for the answer to the one that speaks most against it; ties by place."""
    return np.argsort(-values, kind="stable")


def without_top(order: NDArray[np.int64], removed: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(m, F) coalitions without the first removed[j] features of the order."""
    place: NDArray[np.int64] = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place[None, :] >= removed[:, None]


def only_top(order: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(m, F) coalitions of the first kept[j] features of the order alone."""
    return ~without_top(order, kept)


def ask(game: Game, present: NDArray[np.bool_], target: int) -> NDArray[np.float64]:
    """Probability of `target` under each of (m, F) coalitions; equal ones are asked once."""
    if not len(present):
        return np.empty(0)
    packed = np.packbits(present, axis=1)  # equality is decided on bytes: quick for hundreds of features
    _, first, back = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    found: NDArray[np.float64] = game.outputs(present[first])[:, target][back.reshape(-1)]
    return found


def aopc(full: NDArray[np.float64], curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area over the perturbation curve: mean over its points of (p(y|x) − point). `full` (n,), `curve` (n, points)."""
    return np.asarray((full[:, None] - curve).mean(axis=1))
