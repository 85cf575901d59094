"""Rows of the data set as games, whatever kind of model they are for, and which rows are explained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.data.sampling import stratified_sample
from evaluations.explainability.games import Game, ImageGame, Removal, TableGame, TextGame
from evaluations.models.protocol import ImageNetwork, TokenReader
from evaluations.spec import EvaluationError, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset

BACKGROUND = 20  # rows whose values stand for those of an absent column
Player = Callable[[int], Game | None]
"""The game of a row; None where its image cannot be read."""


def sample(data: Dataset, examples: int, ctx: Context) -> NDArray[np.int64]:
    """The rows that are explained: seeded, the same in run and merge. No label is needed."""
    return stratified_sample(data.ids, np.zeros(data.rows, dtype="U1"), examples, ctx.seed)


def player(model: Any, data: Dataset, ctx: Context, removal: Removal, background: int = BACKGROUND) -> Player:
    """Makes the games of `model`. Raises EvaluationError, as skipped, where its inputs cannot be taken apart."""
    if data.modality is Modality.TEXT_CLASSIFIER:
        if not isinstance(model, TokenReader):
            raise EvaluationError(
                "no_tokens",
                "The model does not show how it splits texts into tokens, as behind an endpoint. "
                "Register its files to have it explained.",
                skipped=True,
            )
        reader = model
        return lambda row: TextGame(reader, data.texts[row], removal)
    if data.modality is Modality.IMAGE_CLASSIFIER:
        if not isinstance(model, ImageNetwork):
            raise EvaluationError(
                "no_pixels",
                "The model takes whole image files only, as behind an endpoint. Register its files to have it "
                "explained.",
                skipped=True,
            )
        network = model
        return lambda row: _image(network, data, row)
    others = data.inputs(background_rows(data, background, ctx), model.columns)
    return lambda row: TableGame(model, data.inputs(np.array([row]), model.columns), others)


def background_rows(data: Dataset, size: int, ctx: Context) -> NDArray[np.int64]:
    """Rows that stand for what a column may hold; a draw of their own, so not the rows that are explained."""
    return stratified_sample(data.ids, np.zeros(data.rows, dtype="U1"), size, ctx.seed + 1)


def of_model(game: Any, model: Any) -> Any:
    """The game of the same input for another model of the same kind."""
    other = copy.copy(game)
    other.model = model
    return other


def _image(network: ImageNetwork, data: Dataset, row: int) -> Game | None:
    try:
        return ImageGame(network, data.images(np.array([row]))[0])
    except EvaluationError as error:
        if error.code != "image_unreadable":
            raise
        return None
