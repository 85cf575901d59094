"""The half of explainability.attribution that holds the model: attributions, once per seed, and pictures to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.explainability import opened, overlay, playing, shapley
from evaluations.explainability.attributing import EXPLAINERS, Attribution, Explainer
from evaluations.explainability.games import Game, ImageGame, Remembered, TableGame
from evaluations.explainability.language_game import LanguageGame
from evaluations.models.protocol import Remote
from evaluations.names import shorts
from evaluations.records import table_of
from evaluations.scoring import probs_column, with_labels
from evaluations.spec import Access, EvaluationError, Modality, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.explainability.attribution import AttributionParams

# `answer` is what is explained, null without an answer; `probs` are a classifier's. `values` hold all features of the
# first seed, then of the next; `start` and `end` the outputs with nothing and everything present, once a seed.
RECORDS = {
    "answer": pa.string(),
    "probs": pa.list_(pa.float64()),
    "method": pa.string(),
    "unit": pa.string(),
    "features": pa.list_(pa.string()),
    "values": pa.list_(pa.float64()),
    "start": pa.list_(pa.float64()),
    "end": pa.list_(pa.float64()),
    "delta": pa.list_(pa.float64()),
    "grid": pa.list_(pa.int64()),  # of an image: rows and columns of cells, height and width of the picture
    "picture": pa.binary(),
}
DRAWN = ("partition_shap", "permutation_shap")  # methods that draw at random
SHOWN = 10  # examples, the first by id
SHOWN_ANSWER = 200  # characters
Player = Callable[[int], Game | None]


@dataclass
class Explained:
    """What is known of one example. No method: it has no feature, or too many."""

    answer: str | None = None
    features: tuple[str, ...] = ()
    method: str = ""
    made: tuple[Attribution, ...] = ()
    grid: tuple[int, ...] = ()
    picture: bytes | None = None


def ask_shard(model: Any, data: Dataset, params: AttributionParams, ctx: Context, shard: Shard) -> ShardState:
    """Records of RECORDS."""
    refuse_what_only_answers(model)
    rows = playing.sample(data, params.examples, ctx)[shard.start : shard.stop]
    language = data.modality is Modality.CAUSAL_LM
    play = prompts(model, data, params) if language else classified(model, data, params, ctx)
    probs, answers = np.full((len(rows), 2), np.nan), [""] * len(rows)
    errors: NDArray[np.bool_] = np.zeros(len(rows), dtype=bool)
    if not language:
        clean = ctx.predictions(model, data, rows)
        probs, errors = clean.probs, clean.errors
        answers = [model.labels[int(k)] for k in np.argmax(np.nan_to_num(probs), axis=1)]
    found = []
    for i, row in enumerate(rows):
        ctx.stop_if_cancelled()
        one = Explained()
        game = None if errors[i] else play(int(row))
        if game is not None:
            target = 0 if language else int(probs[i].argmax())
            answer = game.answer if isinstance(game, LanguageGame) else answers[i]
            one = explained(game, target, answer[:SHOWN_ANSWER], str(data.ids[row]), params, ctx)
            if isinstance(game, ImageGame) and one.made and shard.start + i < SHOWN:
                one.picture, size = overlay.seen(game.pixels)
                one.grid = (*game.grid, *size)
        found.append(one)
        ctx.progress(i + 1, len(rows), "explaining")
    errors = np.array([one.answer is None for one in found])
    table = table_of(data, rows, columns_of(found, probs, errors | language))
    if not language:
        table = with_labels(table, model.labels)
    return ShardState(table, {"errors": int(errors.sum()), "truncated": model.usage.truncated})


def refuse_what_only_answers(model: Any) -> None:
    """Raises EvaluationError, as skipped, for an endpoint, and for a classifier that names classes alone."""
    if isinstance(model, Remote):
        raise EvaluationError(
            "remote_model",
            "An explanation asks thousands of times, which is not done to a service. Register the model's files to "
            "have it explained.",
            skipped=True,
        )
    if not {Access.PROBS, Access.LOGPROBS} & set(model.access):
        raise EvaluationError(
            "no_probabilities",
            "The model names classes without probabilities, so there is nothing to share out over its input. Register "
            "one that has predict_proba.",
            skipped=True,
        )


def columns_of(
    found: list[Explained], probs: NDArray[np.float64], without: NDArray[np.bool_]
) -> dict[str, pa.Array]:
    held = {
        "answer": [one.answer for one in found],
        "method": [one.method for one in found],
        "unit": [one.made[0].unit if one.made else "" for one in found],
        "features": [shorts(one.features) for one in found],
        "values": [[float(v) for a in one.made for v in a.values] for one in found],
        "start": [[a.base for a in one.made] for one in found],
        "end": [[a.output for a in one.made] for one in found],
        "delta": [[a.delta for a in one.made if a.delta is not None] for one in found],
        "grid": [list(one.grid) for one in found],
        "picture": [one.picture for one in found],
    }
    columns = {name: pa.array(values, RECORDS[name]) for name, values in held.items()}
    return {name: columns[name] if name != "probs" else probs_column(probs, without) for name in RECORDS}


def explained(
    game: Game, target: int, answer: str, example: str, params: AttributionParams, ctx: Context
) -> Explained:
    """The attributions of one example, once per seed where the method draws. Coalitions are asked about once."""
    total = len(game.features)
    if not 1 <= total <= params.most_features:
        return Explained(answer, tuple(game.features[: params.most_features + 1]))
    method = chosen(params.method, game)
    explainer = explainer_of(method, params.max_evals)
    held = Remembered(game)
    made = tuple(
        explainer(held, target, ctx.rng(f"{example}:explain:{seed}"))
        for seed in range(params.seeds if method in DRAWN else 1)
    )
    if not all(np.isfinite([*a.values, a.base, a.output]).all() for a in made):
        return Explained()
    grid = (*game.grid, 0, 0) if isinstance(game, ImageGame) else ()
    return Explained(answer, game.features, method, made, grid)


def chosen(method: str, game: Game) -> str:
    """What "auto" stands for: a choice by the kind of model, said in the result."""
    if method != "auto":
        return method
    if isinstance(game, TableGame):
        readable = (name for name in opened.METHODS if opened.opened(game, name))
        return next(readable, "permutation_shap")
    return "partition_shap"


def explainer_of(method: str, budget: int) -> Explainer:
    if method == "partition_shap":
        return partial(shapley.partition_shap, budget=budget)
    if method == "permutation_shap":
        return partial(shapley.permutation_shap, budget=budget)
    return EXPLAINERS[method]


def prompts(model: Any, data: Dataset, params: AttributionParams) -> Player:
    """Raises EvaluationError, as skipped, where the model does not show its tokens."""
    if not (hasattr(model, "network") and hasattr(model, "tokens")):
        raise EvaluationError(
            "no_tokens",
            "The model does not show how it splits prompts into tokens, as behind an endpoint. "
            "Register its files to have it explained.",
            skipped=True,
        )
    return lambda row: LanguageGame(model, data.texts[row], written=params.continuation)


def classified(model: Any, data: Dataset, params: AttributionParams, ctx: Context) -> Player:
    return playing.player(model, data, ctx, params.removal, params.background)
