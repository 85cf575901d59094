"""The half of explainability.sanity that holds the model: explains it, random networks and a taught copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.context import derive_seed
from evaluations.explainability import planted, playing
from evaluations.explainability.attribution_asking import chosen, explainer_of
from evaluations.explainability.games import Game, Remembered, everything
from evaluations.explainability.nearby import Neighbours, nearby
from evaluations.explainability.randomised import fresh
from evaluations.names import shorts
from evaluations.records import table_of
from evaluations.scoring import probs_column, with_labels
from evaluations.spec import Modality, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.explainability.sanity import SanityParams

# Attributions of an example: of the model, of a random network, with further seeds (one after the other), of nearby
# inputs (one after the other), and of the planted example by the taught copy and by the model. `planted_probs` are
# the copy's probabilities with the sign, with the other sign in its place, and with it masked.
NUMBERS = ("values", "randomised", "seeds", "nearby", "planted", "untaught", "planted_probs")
RECORDS = {
    "probs": pa.list_(pa.float64()),
    "features": pa.list_(pa.string()),
    "planted_features": pa.list_(pa.string()),
    **dict.fromkeys(NUMBERS, pa.list_(pa.float64())),
}
TEACHING_IMAGES = 100  # held in memory at once while a copy is taught
Answers = dict[str, "NDArray[np.float64]"]


def network_of(example: str, params: SanityParams, ctx: Context) -> int:
    """Which of the random networks explains this example."""
    return int(ctx.rng(f"{example}:network").integers(params.networks))


def plant_of(example: str, features: int, ctx: Context) -> tuple[int, int]:
    """(feature at which the sign is put, class that it decides for)."""
    rng = ctx.rng(f"{example}:plant")
    return int(rng.integers(features)), int(rng.integers(2))


def repeated_rows(data: Dataset, rows: NDArray[np.int64], params: SanityParams, ctx: Context) -> set[int]:
    """The rows that are explained repeatedly, drawn from all that are explained."""
    ranked = sorted(rows, key=lambda row: derive_seed(ctx.seed, f"repeated:{data.ids[row]}"))
    return {int(row) for row in ranked[: params.repeated]}


@dataclass(frozen=True)
class Tools:
    """What every example is explained with."""

    params: SanityParams
    ctx: Context
    neighbours: Neighbours
    copy: planted.Taught

    def explain(self, game: Game, target: int, draws: str) -> NDArray[np.float64]:
        self.ctx.stop_if_cancelled()  # an example is explained up to some dozen times
        method = chosen(self.params.method, game)
        return explainer_of(method, self.params.max_evals)(game, target, self.ctx.rng(draws)).values


def ask_shard(model: Any, data: Dataset, params: SanityParams, ctx: Context, shard: Shard) -> ShardState:
    """Records of RECORDS. An example with fewer than two features, or too many, has features and no numbers."""
    every = playing.sample(data, params.examples, ctx)
    rows = every[shard.start : shard.stop]
    repeated = repeated_rows(data, every, params, ctx)
    play = playing.player(model, data, ctx, params.removal)
    clean = ctx.predictions(model, data, rows)
    games: list[Any] = [None if clean.errors[i] else play(int(row)) for i, row in enumerate(rows)]
    usable = [i for i, game in enumerate(games) if game is not None and _fits(game, params)]
    numbers: dict[int, Answers] = {}
    shown: dict[int, list[str]] = {}
    ctx.progress(0, len(rows), "teaching a shortcut")
    tools = (
        Tools(params, ctx, Neighbours(model), _taught(model, data, every, params, ctx)) if usable else None
    )
    # By random network, so that one of them is in memory at a time.
    for network in range(params.networks if tools else 0):
        held = [i for i in usable if network_of(str(data.ids[rows[i]]), params, ctx) == network]
        random = fresh(model, derive_seed(ctx.seed, f"random network {network}") % 2**63) if held else None
        for i in held:
            assert tools is not None
            ctx.stop_if_cancelled()
            example, again = str(data.ids[rows[i]]), int(rows[i]) in repeated
            numbers[i] = of_example(games[i], int(clean.probs[i].argmax()), example, random, again, tools)
            planting, shown[i] = of_planted(games[i], example, tools)
            numbers[i] |= planting
            ctx.progress(len(numbers), len(rows), "explaining")
    nothing = dict.fromkeys(NUMBERS, np.empty(0))
    for i, game in enumerate(games):
        if game is None or any(np.isnan(one).any() for one in numbers.get(i, nothing).values()):
            clean.errors[i] = True
            numbers.pop(i, None)
            shown.pop(i, None)
    names = [
        [] if clean.errors[i] else shorts(game.features)[: params.most_features + 1]
        for i, game in enumerate(games)
    ]
    columns = {
        "probs": probs_column(clean.probs, clean.errors),
        "features": pa.array(names, RECORDS["features"]),
        "planted_features": pa.array([shown.get(i, []) for i in range(len(rows))], RECORDS["features"]),
        **{
            name: pa.array([numbers.get(i, nothing)[name] for i in range(len(rows))], RECORDS[name])
            for name in NUMBERS
        },
    }
    table = with_labels(table_of(data, rows, columns), model.labels)
    return ShardState(table, {"errors": int(clean.errors.sum()), "truncated": model.usage.truncated})


def of_example(game: Any, target: int, example: str, random: Any, again: bool, tools: Tools) -> Answers:
    """The model and a random network on the same input; where asked for, other seeds and nearby inputs."""
    params, drawn = tools.params, tools.ctx.rng(f"{example}:nearby")
    close = [nearby(game, tools.neighbours, drawn) for _ in range(params.nearby if again else 0)]
    seeds = range(1, params.seeds if again else 1)
    held = Remembered(game)
    return {
        "values": tools.explain(held, target, f"{example}:explain"),
        "randomised": tools.explain(playing.of_model(game, random), target, f"{example}:randomised"),
        "seeds": _joined([tools.explain(held, target, f"{example}:seed {k}") for k in seeds]),
        "nearby": _joined([tools.explain(one, target, f"{example}:explain") for one in close]),
    }


def of_planted(game: Any, example: str, tools: Tools) -> tuple[Answers, list[str]]:
    """The copy's answers to the planted example and explanations of it, and the names of its features."""
    place, which = plant_of(example, len(game.features), tools.ctx)
    shown = [tools.copy.signs.put(game, place, sign) for sign in (which, 1 - which, None)]
    by_copy = [playing.of_model(one, tools.copy.model) for one in shown]
    own = np.nan_to_num(shown[0].outputs(everything(shown[0]))[0])
    found = {
        "planted": tools.explain(by_copy[0], which, f"{example}:planted"),
        "untaught": tools.explain(shown[0], int(own.argmax()), f"{example}:untaught"),
        "planted_probs": np.concatenate([one.outputs(everything(one))[0] for one in by_copy]),
    }
    return found, shorts(shown[0].features)


def _fits(game: Game, params: SanityParams) -> bool:
    return 2 <= len(game.features) <= params.most_features


def _joined(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([np.empty(0), *parts])


def _taught(
    model: Any, data: Dataset, rows: NDArray[np.int64], params: SanityParams, ctx: Context
) -> planted.Taught:
    """The taught copy, the same for every shard: taught on examples of the whole sample."""
    play = playing.player(model, data, ctx, params.removal)
    most = TEACHING_IMAGES if data.modality is Modality.IMAGE_CLASSIFIER else len(rows)
    games: list[Any] = [game for row in rows[:most] if (game := play(int(row))) and _fits(game, params)]
    if data.modality is Modality.IMAGE_CLASSIFIER:  # a batch has one size
        games = [game for game in games if game.pixels.shape == games[0].pixels.shape]
    settings = (params.steps, params.learning_rate, params.removal, params.most_features)
    key = (ctx.seed, settings, data.ref.model_dump_json(), tuple(data.ids[rows]))
    return planted.taught(model, games, ctx, params.steps, params.learning_rate, key)
