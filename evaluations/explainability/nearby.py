"""Inputs that hardly differ: an image with faint noise, a text with one token replaced by its nearest neighbour."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.explainability.games import ImageGame, TextGame

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISE = 0.02  # of the range of an image's values: the radius that captum's sensitivity_max has by default


class Neighbours:
    """Which token lies nearest to another one in the model's own embedding, by the angle between them."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @cached_property
    def table(self) -> NDArray[np.float32]:
        """(V, d) embeddings of length 1; special tokens have none."""
        weights = self.model.network.get_input_embeddings().weight.detach().float().cpu().numpy().copy()
        weights /= np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-12)
        weights[self.model.tokenizer.all_special_ids] = 0.0
        held: NDArray[np.float32] = weights
        return held

    def of(self, token: int) -> int:
        """Another token than this one; of equally near ones the first."""
        alike = self.table @ self.table[token]
        alike[self.model.tokenizer.all_special_ids] = -np.inf
        alike[token] = -np.inf
        return int(alike.argmax())


def with_token(game: TextGame, place: int, token: int) -> TextGame:
    """The game of the same text with another token at feature `place`. The given game stays as it is."""
    other = copy.copy(game)
    other.ids = game.ids.copy()
    other.ids[game.positions[place]] = token
    names = list(game.features)
    names[place] = game.model.tokenizer.decode([token])
    other.features = tuple(names)
    return other


def with_pixels(game: ImageGame, pixels: NDArray[np.float32]) -> ImageGame:
    """The game of another image of the same size; what an absent cell shows stays as it was."""
    other = copy.copy(game)
    other.pixels = pixels
    return other


def nearby(game: Any, neighbours: Neighbours, rng: np.random.Generator) -> Any:
    """A game that differs from `game` by as little as its kind of input allows."""
    if isinstance(game, TextGame):
        place = int(rng.integers(len(game.positions)))
        return with_token(game, place, neighbours.of(int(game.ids[game.positions[place]])))
    reach = NOISE * float(np.ptp(game.pixels))
    noise = rng.uniform(-reach, reach, game.pixels.shape).astype(np.float32)
    return with_pixels(game, game.pixels + noise)


def largest_change(values: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """max over (m, F) attributions of nearby inputs of ‖φ(x′) − φ(x)‖."""
    return float(np.linalg.norm(others - values, axis=1).max())
