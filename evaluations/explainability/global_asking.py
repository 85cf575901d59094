"""The half of explainability.global that holds the model: attributions, tokens masked, columns shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.context import derive_seed
from evaluations.explainability import playing
from evaluations.explainability.attribution_asking import chosen, explainer_of, refuse_what_only_answers
from evaluations.explainability.games import Game, everything
from evaluations.explainability.perturbation_curves import ask
from evaluations.names import shorts, visible
from evaluations.records import table_of
from evaluations.scoring import probs_column, with_labels
from evaluations.spec import Modality, Role, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.explainability.global_reliance import GlobalParams

# Attributions of the explained examples; of a text the probability of its answer as it is and without each of its
# tokens; of a row of a table the class that is answered with each column shuffled, once a repeat (−1: none).
RECORDS = {
    "probs": pa.list_(pa.float64()),
    "features": pa.list_(pa.string()),
    "values": pa.list_(pa.float64()),
    "unit": pa.string(),
    "masked": pa.list_(pa.float64()),
    "shuffled": pa.list_(pa.int64()),
}


def rows_of(data: Dataset, params: GlobalParams, ctx: Context) -> NDArray[np.int64]:
    """The rows that are asked about; of images the explained ones alone, since nothing else is asked."""
    size = params.explained if data.modality is Modality.IMAGE_CLASSIFIER else params.examples
    return playing.sample(data, size, ctx)


def explained_rows(data: Dataset, rows: NDArray[np.int64], params: GlobalParams, ctx: Context) -> set[int]:
    ranked = sorted(rows, key=lambda row: derive_seed(ctx.seed, f"explained:{data.ids[row]}"))
    return {int(row) for row in ranked[: params.explained]}


def ask_shard(model: Any, data: Dataset, params: GlobalParams, ctx: Context, shard: Shard) -> ShardState:
    """Records of RECORDS. An example without features, or with too many, has no numbers."""
    refuse_what_only_answers(model)
    if data.modality is Modality.TABULAR and data.ref.columns(Role.TARGET):
        data.class_indices(model.labels)  # refuse a label mismatch before the work, not after it
    every = rows_of(data, params, ctx)
    rows = every[shard.start : shard.stop]
    explained = explained_rows(data, every, params, ctx)
    play = playing.player(model, data, ctx, params.removal)
    clean = ctx.predictions(model, data, rows)
    features: list[list[str]] = []
    values, masked, units = [], [], [""] * len(rows)
    for i, row in enumerate(rows):
        ctx.stop_if_cancelled()
        game = None if clean.errors[i] else play(int(row))
        names = [] if game is None else named(game.features, data.modality, params.most_features + 1)
        made, falls = np.empty(0), np.empty(0)
        if game is not None and 1 <= len(names) <= params.most_features:
            target = int(clean.probs[i].argmax())
            if int(row) in explained:
                explain = explainer_of(chosen(params.method, game), params.max_evals)
                found = explain(game, target, ctx.rng(f"{data.ids[row]}:explain"))
                made, units[i] = found.values, found.unit
            if data.modality is Modality.TEXT_CLASSIFIER:
                falls = without_each_token(game, names, target)
        if game is None or np.isnan(made).any() or np.isnan(falls).any():
            clean.errors[i] = True
            names, made, falls = [], np.empty(0), np.empty(0)
        features.append(names)
        values.append(made)
        masked.append(falls)
        ctx.progress(i + 1, len(rows), "explaining")
    shuffled: list[Any] = [[] for _ in rows]
    if data.modality is Modality.TABULAR:
        shuffled = answers_shuffled(model, data, params, ctx, every, shard).tolist()
    columns = {
        "probs": probs_column(clean.probs, clean.errors),
        "features": pa.array(features, RECORDS["features"]),
        "values": pa.array(values, RECORDS["values"]),
        "unit": pa.array(units, RECORDS["unit"]),
        "masked": pa.array(masked, RECORDS["masked"]),
        "shuffled": pa.array(shuffled, RECORDS["shuffled"]),
    }
    table = with_labels(table_of(data, rows, columns), model.labels)
    return ShardState(table, {"errors": int(clean.errors.sum()), "truncated": model.usage.truncated})


def named(features: Sequence[str], modality: Modality, most: int) -> list[str]:
    """Tokens by what they are made of, wherever they stand; columns, all of them, and cells by name and place."""
    if modality is Modality.TEXT_CLASSIFIER:
        return [visible(name) for name in features[:most]]
    return shorts(features if modality is Modality.TABULAR else features[:most])


def without_each_token(game: Game, names: list[str], target: int) -> NDArray[np.float64]:
    """Probability of the answer as it is, and without all features of each name, in the order of first occurrence."""
    held = np.array(names)
    present = [everything(game)[0], *(held != name for name in dict.fromkeys(names))]
    return ask(game, np.stack(present), target)


def answers_shuffled(
    model: Any, data: Dataset, params: GlobalParams, ctx: Context, every: NDArray[np.int64], shard: Shard
) -> NDArray[np.int64]:
    """(rows, columns · repeats) classes answered with one column's values taken from other rows of the sample.

    The shuffle of a column is drawn once for the whole sample, so shards change nothing.
    """
    rows = every[shard.start : shard.stop]
    plain = data.inputs(rows, model.columns)
    found = []
    for column in plain.columns:
        for repeat in range(params.repeats):
            ctx.stop_if_cancelled()
            order = ctx.rng(f"shuffle {repeat}:{column}").permutation(len(every))
            others = data.inputs(every[order[shard.start : shard.stop]], model.columns)
            asked = plain.copy()
            asked[column] = others[column].to_numpy()
            scores = model.predict_proba(asked)
            found.append(np.where(scores.errors, -1, np.argmax(np.nan_to_num(scores.probs), axis=1)))
    return np.stack(found, axis=1).astype(np.int64) if found else np.empty((len(rows), 0), dtype=np.int64)
