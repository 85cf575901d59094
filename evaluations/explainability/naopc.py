"""The best and the worst order in which features can be removed: what an area over the curve is held against.

Edin et al. 2024, arXiv 2408.08137: NAOPC = (AOPC − low) / (up − low) of the full perturbation curve, one feature
removed at a time. Exact where there are few features, else by beam search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations.explainability.perturbation_curves import ask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.explainability.games import Game

EXACT = 8  # features up to which all 2^F coalitions are asked


@dataclass(frozen=True)
class Bounds:
    """Probabilities of the answer after 1 … F features are removed, in the order that lowers it most, and least."""

    best: NDArray[np.float64]  # (F,): the smallest sum, so the largest area over it
    worst: NDArray[np.float64]  # (F,): the largest sum
    queries: int


def bounds(game: Game, target: int, beam: int) -> Bounds:
    """Exact up to EXACT features, else the best of `beam` kept at each step; NaN where the model gave no answer."""
    if len(game.features) <= EXACT:
        return exact(game, target)
    best, asked = searched(game, target, beam, sign=1.0)
    worst, asked_too = searched(game, target, beam, sign=-1.0)
    return Bounds(best, worst, asked + asked_too)


def exact(game: Game, target: int) -> Bounds:
    """Over all orders, by dynamic programming over the 2^F sets of removed features instead of the F! orders."""
    total = len(game.features)
    codes = np.arange(2**total)
    removed = (codes[:, None] >> np.arange(total)) & 1 == 1
    output = ask(game, ~removed, target)
    return Bounds(_cheapest(output, total), -_cheapest(-output, total), len(codes))


def _cheapest(output: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    """Outputs along the order with the smallest sum; `output` by the bits of the removed set."""
    if np.isnan(output).any():
        return np.full(total, np.nan)
    cost = np.zeros(len(output))
    came: NDArray[np.int64] = np.zeros(len(output), dtype=np.int64)
    for code in range(1, len(output)):  # every subset of a set has a smaller code
        last = [bit for bit in range(total) if code >> bit & 1]
        before = np.array([cost[code ^ (1 << bit)] for bit in last])
        came[code] = last[int(before.argmin())]
        cost[code] = before.min() + output[code]
    path, code = [], len(output) - 1
    while code:
        path.append(output[code])
        code ^= 1 << int(came[code])
    return np.array(path[::-1])


def searched(game: Game, target: int, beam: int, sign: float) -> tuple[NDArray[np.float64], int]:
    """Outputs along the order found with the smallest sum of sign·output, and how many coalitions were asked.

    Of two ways to the same removed set only the cheaper one is kept, since what comes after is the same.
    """
    total = len(game.features)
    present: NDArray[np.bool_] = np.ones((1, total), dtype=bool)
    sums, paths, asked = np.zeros(1), np.empty((1, 0)), 0
    for _ in range(total):
        parent, feature = np.nonzero(present)
        candidates = present[parent]
        candidates[np.arange(len(candidates)), feature] = False
        output = ask(game, candidates, target)
        asked += len(candidates)
        if np.isnan(output).any():
            return np.full(total, np.nan), asked
        reached = sums[parent] + sign * output
        order = np.argsort(reached, kind="stable")
        _, first = np.unique(np.packbits(candidates[order], axis=1), axis=0, return_index=True)
        kept = order[np.sort(first)[:beam]]
        present, sums = candidates[kept], reached[kept]
        paths = np.concatenate([paths[parent[kept]], output[kept, None]], axis=1)
    return paths[0], asked


def normalised(
    area: NDArray[np.float64], low: NDArray[np.float64], up: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(area − low) / (up − low), NaN where the order makes no difference.

    A beam may miss an order as good as the one that is judged: then that one is the bound.
    """
    low, up = np.minimum(low, area), np.maximum(up, area)
    room = up - low
    return np.where(room > 1e-9, (area - low) / np.where(room > 1e-9, room, 1.0), np.nan)
