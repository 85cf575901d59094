"""The half of robustness.image_corruption that holds the model: asks about each image, clean and corrupted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import records
from evaluations.data.sampling import stratified_sample
from evaluations.models.protocol import Scores
from evaluations.robustness import corruptions
from evaluations.robustness.corruptions_constants import SMALL_SIDE
from evaluations.scoring import PROBS, probs_column, read_probs, with_labels
from evaluations.spec import Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier
    from evaluations.robustness.image_corruption import CorruptionParams

CLEAN = "clean"
RECORDS = {"clean": pa.int64(), "corrupted": pa.list_(pa.int64())}  # indices of classes; null: no answer


def sample(data: Dataset, params: CorruptionParams, ctx: Context) -> NDArray[np.int64]:
    """The rows that are asked about: seeded, in proportion to the labels, the same in run and merge."""
    return stratified_sample(data.ids, data.truth, params.examples, ctx.seed)


def rng_of(ctx: Context, example: str, kind: str, severity: int) -> np.random.Generator:
    """Draws of one corrupted version, the same whichever other kinds and severities are asked for."""
    return ctx.rng(f"{example}:corruption:{kind}:{severity}")


def ask_shard(
    model: Classifier, data: Dataset, params: CorruptionParams, ctx: Context, shard: Shard
) -> ShardState:
    """Records: the answer to each image, and to every corrupted version of it.

    An image that is too large for the severities is reduced first, and its clean answer is that to the reduced one.
    """
    data.class_indices(model.labels)  # refuse a label mismatch before the work, not after it
    rows = sample(data, params, ctx)[shard.start : shard.stop]
    whole = ctx.predictions(model, data, rows)
    clean = _classes(whole)
    corrupted: list[list[int | None]] = []
    counts = {"reduced": 0, "small": 0}
    silent = replace(ctx, on_progress=lambda progress: None)  # one image is many questions, but one step
    for done, row in enumerate(rows):
        ctx.progress(done, len(rows), "corrupting")
        found = corruptions.decoded(data.images(rows[done : done + 1])[0])
        if found is None:
            corrupted.append([None] * len(params.versions))
            continue
        pixels, reduced = found
        versions = [(CLEAN, 0), *params.versions] if reduced else params.versions
        answers = _answers(model, pixels, str(data.ids[row]), versions, silent)
        if reduced:
            clean[done] = answers.pop(0)
        corrupted.append(answers)
        counts["small"] += min(pixels.shape[:2]) <= SMALL_SIDE
        counts["reduced"] += reduced
    ctx.progress(len(rows), len(rows), "corrupting")
    columns = {
        "clean": pa.array(clean, RECORDS["clean"]),
        "corrupted": pa.array(corrupted, RECORDS["corrupted"]),
    }
    return ShardState(with_labels(records.table_of(data, rows, columns), model.labels), counts)


def _answers(
    model: Classifier, pixels: NDArray[np.uint8], example: str, versions: list[tuple[str, int]], ctx: Context
) -> list[int | None]:
    """The most probable class of each version; None where there is no answer."""
    names = np.array([f"{example}:{kind}:{severity}" for kind, severity in versions])

    def ask(positions: NDArray[np.int64]) -> pa.Table:
        scores = model.predict_proba([_version(pixels, example, versions[i], ctx) for i in positions])
        return pa.table({"probs": probs_column(scores.probs, scores.errors)})

    table = ctx.answers(
        model, "corrupted", names, ask, "corrupting", PROBS, made=corruptions.MADE, seed=ctx.seed
    )
    return _classes(Scores(*read_probs(table.column("probs"), len(model.labels)), np.ones(len(names), bool)))


def _version(pixels: NDArray[np.uint8], example: str, version: tuple[str, int], ctx: Context) -> bytes:
    kind, severity = version
    if kind != CLEAN:
        pixels = corruptions.corrupt(pixels, kind, severity, rng_of(ctx, example, kind, severity))
    return corruptions.encoded(pixels)


def _classes(scores: Scores) -> list[int | None]:
    found = np.argmax(np.nan_to_num(scores.probs), axis=1)
    return [None if error else int(answer) for answer, error in zip(found, scores.errors, strict=True)]
