"""Recommenders: matrix factors in safetensors, or an ONNX network of a user and an item; ids in ids.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evaluations.models.loader import one_file
from evaluations.models.onnx_session import Logits, open_session
from evaluations.models.protocol import Usage
from evaluations.spec import Access, EvaluationError, Modality, ModelFormat, ModelRef

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDS = "ids.json"
MOST_PAIRS = 2**18  # (user, item) pairs per call of an ONNX network
NEEDED = (
    'A recommender is a folder with ids.json ({"users": [...], "items": [...]}, in the order of the rows) and one '
    "file: factors in safetensors (user_factors, item_factors, optional user_bias, item_bias, global_bias), or an "
    "ONNX network with the two inputs user and item."
)


class Factors:
    """score(u, i) = user_factors[u] · item_factors[i] + user_bias[u] + item_bias[i] + global_bias."""

    def __init__(self, tensors: dict[str, NDArray[Any]], users: int, items: int) -> None:
        wide = {name: np.asarray(value, dtype=np.float64) for name, value in tensors.items()}
        self.users, self.items = wide["user_factors"], wide["item_factors"]
        self.user_bias = wide.get("user_bias", np.zeros(users)).reshape(-1)
        self.item_bias = wide.get("item_bias", np.zeros(items)).reshape(-1)
        self.shift = float(wide.get("global_bias", np.zeros(1)).reshape(-1)[0])
        rank = self.users.shape[-1]
        if self.users.shape != (users, rank) or self.items.shape != (items, rank):
            raise ValueError(
                f"user_factors has shape {self.users.shape} and item_factors {self.items.shape}, but ids.json names "
                f"{users} users and {items} items"
            )
        if len(self.user_bias) != users or len(self.item_bias) != items:
            raise ValueError("a bias has not one number per user or item")

    def __call__(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        own = self.users[users] @ self.items.T
        return np.asarray(own + self.user_bias[users][:, None] + self.item_bias + self.shift)


class Network:
    """An ONNX network that gives a score for each pair of (user, item) numbers."""

    def __init__(self, session: Any, items: int) -> None:
        names = [i.name for i in session.get_inputs()]
        user = [n for n in names if "user" in n.lower()]
        item = [n for n in names if "item" in n.lower()]
        if len(names) != 2 or len(user) != 1 or len(item) != 1:
            raise ValueError(f"its inputs are {', '.join(names)}, not one named user and one named item")
        self.user, self.item, self.items = user[0], item[0], items
        ranks = {i.name: len(i.shape) for i in session.get_inputs()}
        self.ranks = ranks
        self.forward = Logits(session, rank=len(session.get_outputs()[0].shape))

    def __call__(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        out = np.empty((len(users), self.items))
        step = max(1, MOST_PAIRS // self.items)
        for start in range(0, len(users), step):
            held = users[start : start + step]
            pairs = {
                self.user: np.repeat(held, self.items),
                self.item: np.tile(np.arange(self.items), len(held)),
            }
            shaped = {n: v.reshape(-1, *(1,) * (self.ranks[n] - 1)) for n, v in pairs.items()}
            out[start : start + step] = self.forward(shaped).reshape(len(held), self.items)
        return out


class FactorRecommender:
    """Scores of every item for a user. `score` maps places of users to (n, items)."""

    modality: ClassVar[Modality] = Modality.RECOMMENDER
    adapter: ClassVar[str] = "recommender/1"
    access: ClassVar[Access] = Access.LABEL
    device = "cpu"

    def __init__(self, score: Factors | Network, users: Sequence[str], items: Sequence[str]) -> None:
        self.score = score
        self.places = {user: i for i, user in enumerate(users)}
        self.items = tuple(items)
        self.usage = Usage()

    def scores(self, users: Sequence[str]) -> NDArray[np.float64]:
        """(len(users), items); a row of NaN for a user that the model does not know."""
        self.usage.queries += len(users)
        out = np.full((len(users), len(self.items)), np.nan)
        known = [row for row, user in enumerate(users) if user in self.places]
        if known:
            out[known] = self.score(np.array([self.places[users[row]] for row in known]))
        return out


def load(folder: Path, ref: ModelRef) -> FactorRecommender:
    """The recommender in `folder`. Raises EvaluationError that says what a recommender's folder holds."""
    users, items = _ids(folder)
    try:
        score: Factors | Network
        if ref.format is ModelFormat.ONNX:
            score = Network(open_session(folder), len(items))
        else:
            score = Factors(_tensors(one_file(folder, "*.safetensors")), len(users), len(items))
    except (KeyError, ValueError, IndexError) as error:
        raise EvaluationError(
            "model_unreadable", f"The recommender could not be read ({str(error)[:200]}). {NEEDED}"
        ) from error
    return FactorRecommender(score, users, items)


def _tensors(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _ids(folder: Path) -> tuple[list[str], list[str]]:
    try:
        found = json.loads((folder / IDS).read_text(encoding="utf-8"))
        users, items = ([str(i) for i in found[kind]] for kind in ("users", "items"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise EvaluationError("model_files", f"{IDS} could not be read. {NEEDED}") from error
    if not users or not items or len(set(users)) != len(users) or len(set(items)) != len(items):
        raise EvaluationError("model_files", f"{IDS} names a user or an item twice, or none. {NEEDED}")
    return users, items
