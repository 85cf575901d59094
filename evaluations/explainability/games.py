"""One example as a cooperative game: its features are the players, a coalition is what of the input is present."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from evaluations.engine.first_token import first_token_alone
from evaluations.spec import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.models.protocol import Classifier, ImageNetwork, TokenReader

Removal = Literal["mask", "delete"]
ROWS_AT_ONCE = 10_000  # of a table, in memory: a coalition is as many rows as the background has
SPECIAL_TO_MASK = ("mask_token_id", "unk_token_id", "pad_token_id")


class Game(Protocol):
    """What an explainer may ask. F features, K classes."""

    features: tuple[str, ...]  # (F,) as people read them

    def outputs(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Class probabilities (m, K) of m coalitions, `present` (m, F). NaN where the model gave none."""
        ...


class TextGame:
    """A text whose features are its tokens. Works on token ids: nothing is decoded and read again.

    An absent token is replaced by the tokenizer's mask token (mask), or left out (delete).
    Special tokens, such as [CLS], are no features and always present.
    """

    def __init__(self, model: TokenReader, text: str, removal: Removal = "mask") -> None:
        self.model = model
        self.text = text
        self.removal = removal
        self.ids: NDArray[np.int64] = np.array(model.token_ids([text])[0], dtype=np.int64)
        special = np.isin(self.ids, list(model.tokenizer.all_special_ids))
        unknown = model.tokenizer.unk_token_id
        if unknown is not None:  # a word that the tokenizer does not know is a feature all the same
            special &= self.ids != unknown
        self.positions: NDArray[np.int64] = np.flatnonzero(~special)
        self.features = tuple(model.tokenizer.decode([int(i)]) for i in self.ids[self.positions])
        self.filler = filler_of(model.tokenizer) if removal == "mask" else -1

    def outputs(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        keep: NDArray[np.bool_] = np.ones((len(present), len(self.ids)), dtype=bool)
        keep[:, self.positions] = present
        if self.removal == "mask":
            return ask_ids(self.model, np.where(keep, self.ids, self.filler).tolist())
        return ask_ids(self.model, [self.ids[row].tolist() for row in keep])


def ask_ids(model: TokenReader, ids: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Class probabilities of sequences of ids, without the part of the last layer that they do not depend on."""
    with first_token_alone(getattr(model, "network", None)):
        return model.probs_of_ids(ids)


def filler_of(tokenizer: Any) -> int:
    """The id that stands for an absent token. Raises `no_mask_token` where the tokenizer has nothing fit."""
    for name in SPECIAL_TO_MASK:
        found = getattr(tokenizer, name, None)
        if found is not None:
            return int(found)
    raise EvaluationError(
        "no_mask_token",
        "The tokenizer has neither a mask, an unknown nor a padding token to put in place of a removed one. "
        "Set the parameter removal to 'delete'.",
        skipped=True,
    )


class ImageGame:
    """An image whose features are the cells of a grid over its prepared pixels. Absent cells show the mean colour."""

    def __init__(self, model: ImageNetwork, image: bytes | NDArray[np.float32], side: int = 7) -> None:
        """`image` is a file, or pixels that are prepared already."""
        pixels = model.prepare(image) if isinstance(image, bytes) else image
        if pixels is None:
            raise EvaluationError("image_unreadable", "An image of the data set cannot be read.")
        self.model = model
        self.pixels = pixels  # (channels, height, width)
        height, width = pixels.shape[1:]
        rows, columns = min(side, height), min(side, width)
        down = np.arange(height) * rows // height
        across = np.arange(width) * columns // width
        self.cells: NDArray[np.int64] = down[:, None] * columns + across[None, :]  # (height, width)
        self.grid = (rows, columns)
        self.features = tuple(f"row {i + 1}, column {j + 1}" for i in range(rows) for j in range(columns))
        self.absent = np.broadcast_to(pixels.mean(axis=(1, 2), keepdims=True), pixels.shape)

    def outputs(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        made = []
        for start in range(0, len(present), 64):  # a coalition is a whole image in memory
            shown = present[start : start + 64][:, self.cells][:, None]  # (m, 1, height, width)
            made.append(self.model.probs_of_pixels(np.where(shown, self.pixels, self.absent)))
        return np.concatenate(made) if made else np.empty((0, len(self.model.labels)))


class TableGame:
    """A row whose features are its columns. An absent column takes the values of background rows, averaged over."""

    def __init__(self, model: Classifier, row: Any, background: Any) -> None:
        """`row` is a frame of one row, `background` a frame of B rows with the same columns."""
        self.model = model
        self.row, self.background = row, background
        self.features = tuple(str(name) for name in row.columns)

    def outputs(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        if not len(present):
            return np.empty((0, len(self.model.labels)))
        step = max(1, ROWS_AT_ONCE // len(self.background))
        return np.concatenate(
            [self._averaged(present[start : start + step]) for start in range(0, len(present), step)]
        )

    def _averaged(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        import pandas as pd

        size = len(self.background)
        here = np.repeat(present, size, axis=0)
        other = np.tile(np.arange(1, size + 1), len(present))
        held = pd.concat([self.row, self.background], ignore_index=True)
        asked = pd.DataFrame(
            {name: held[name].array.take(np.where(here[:, k], 0, other)) for k, name in enumerate(held)}
        )
        probs = self.model.predict_proba(asked).probs
        mean: NDArray[np.float64] = probs.reshape(len(present), size, -1).mean(axis=1)
        return mean


class Remembered:
    """A game that asks about each coalition once, however often it comes. `queries` counts what was asked."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.features = game.features
        self.queries = 0
        self.known: dict[bytes, NDArray[np.float64]] = {}

    def outputs(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        keys = [row.tobytes() for row in present]
        new = {key: row for key, row in zip(keys, present, strict=True) if key not in self.known}
        if new:
            found = self.game.outputs(np.stack(list(new.values())))
            self.known |= dict(zip(new, found, strict=True))
            self.queries += len(new)
        if not keys:
            return self.game.outputs(present)
        return np.stack([self.known[key] for key in keys])


def everything(game: Game) -> NDArray[np.bool_]:
    """The coalition of all features, shape (1, F)."""
    return np.ones((1, len(game.features)), dtype=bool)


def without_each(game: Game) -> NDArray[np.bool_]:
    """F coalitions, each of all features but one."""
    return ~np.eye(len(game.features), dtype=bool)


def keeping(features: Sequence[int] | NDArray[np.int64], total: int) -> NDArray[np.bool_]:
    """The coalition (F,) of these features alone."""
    present: NDArray[np.bool_] = np.zeros(total, dtype=bool)
    present[np.asarray(features, dtype=np.int64)] = True
    return present
