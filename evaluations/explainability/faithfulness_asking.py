"""The half of explainability.faithfulness that holds the model: attributions, and answers as features are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.context import derive_seed
from evaluations.explainability import naopc, playing
from evaluations.explainability.attribution_asking import chosen, explainer_of, refuse_what_only_answers
from evaluations.explainability.games import Game, Remembered, everything, without_each
from evaluations.explainability.perturbation_curves import ask, counts, only_top, order_of, without_top
from evaluations.names import shorts
from evaluations.records import table_of
from evaluations.scoring import probs_column, with_labels
from evaluations.spec import Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.explainability.faithfulness import FaithfulnessParams

# Probabilities of the answer: with everything present; without each feature alone; at each of PERCENT without the
# highest attributions and with them alone, also `draws` times for random ones; and the full curves with their bounds.
NUMBERS = (
    "values", "output", "left_out", "without", "only", "random_without", "random_only", "own", "best", "worst",
)  # fmt: skip
RECORDS = {
    "probs": pa.list_(pa.float64()),
    "features": pa.list_(pa.string()),
    **dict.fromkeys(NUMBERS, pa.list_(pa.float64())),
}
Answers = dict[str, "NDArray[np.float64]"]


def bounded_rows(
    data: Dataset, rows: NDArray[np.int64], params: FaithfulnessParams, ctx: Context
) -> set[int]:
    """The rows for which the best and the worst order are sought, drawn from all that are explained."""
    ranked = sorted(rows, key=lambda row: derive_seed(ctx.seed, f"bounds:{data.ids[row]}"))
    return {int(row) for row in ranked[: params.bounded]}


def ask_shard(
    model: Any, data: Dataset, params: FaithfulnessParams, ctx: Context, shard: Shard
) -> ShardState:
    """Records of RECORDS. An example with fewer than two features, or too many, has features and no numbers."""
    refuse_what_only_answers(model)
    every = playing.sample(data, params.examples, ctx)
    rows = every[shard.start : shard.stop]
    bounded = bounded_rows(data, every, params, ctx)
    play = playing.player(model, data, ctx, params.removal)
    clean = ctx.predictions(model, data, rows)
    features: list[list[str]] = []
    numbers: list[Answers] = []
    for i, row in enumerate(rows):
        ctx.stop_if_cancelled()
        game = None if clean.errors[i] else play(int(row))
        shown, found = [], dict.fromkeys(NUMBERS, np.empty(0))
        if game is not None:
            shown = shorts(game.features[: params.most_features + 1])
            if 2 <= len(shown) <= params.most_features:
                seek = int(row) in bounded and len(shown) <= params.bounded_features
                found = answers(game, int(clean.probs[i].argmax()), str(data.ids[row]), params, ctx, seek)
        if game is None or any(np.isnan(held).any() for held in found.values()):
            clean.errors[i] = True
            shown, found = [], dict.fromkeys(NUMBERS, np.empty(0))
        features.append(shown)
        numbers.append(found)
        ctx.progress(i + 1, len(rows), "explaining")
    columns = {
        "probs": probs_column(clean.probs, clean.errors),
        "features": pa.array(features, RECORDS["features"]),
        **{name: pa.array([held[name] for held in numbers], RECORDS[name]) for name in NUMBERS},
    }
    table = with_labels(table_of(data, rows, columns), model.labels)
    return ShardState(table, {"errors": int(clean.errors.sum()), "truncated": model.usage.truncated})


def answers(
    game: Game, target: int, example: str, params: FaithfulnessParams, ctx: Context, seek: bool
) -> Answers:
    """What is asked of one example; everything that is drawn depends on seed and example alone."""
    total = len(game.features)
    held = Remembered(game)
    made = explainer_of(chosen(params.method, game), params.max_evals)(
        held, target, ctx.rng(f"{example}:explain")
    )
    order, removed, all_of_it = order_of(made.values), counts(total), np.arange(1, total + 1)
    rng = ctx.rng(f"{example}:random")
    random = [rng.permutation(total) for _ in range(params.draws)]
    asked = {
        "output": everything(game),
        "left_out": without_each(game),
        "without": without_top(order, removed),
        "only": only_top(order, removed),
        "random_without": np.concatenate([without_top(drawn, removed) for drawn in random]),
        "random_only": np.concatenate([only_top(drawn, removed) for drawn in random]),
        "own": without_top(order, all_of_it if seek else all_of_it[:0]),
    }
    said = ask(held, np.concatenate(list(asked.values())), target)
    cuts = np.cumsum([len(present) for present in asked.values()])[:-1]
    found = dict(zip(asked, np.split(said, cuts), strict=True))
    extremes = naopc.bounds(held, target, params.beam) if seek else None
    found["best"] = extremes.best if extremes else np.empty(0)
    found["worst"] = extremes.worst if extremes else np.empty(0)
    return {"values": made.values, **found}
