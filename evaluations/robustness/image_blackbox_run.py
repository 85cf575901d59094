"""The half of robustness.image_blackbox that holds the model: sends changed images until an answer changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from evaluations.engine.fingerprint import check_stopped
from evaluations.models.protocol import ImageNetwork, Remote, Scores
from evaluations.records import table_of
from evaluations.robustness import image_explained, image_files, square
from evaluations.robustness.image_ball import Ball
from evaluations.robustness.image_blackbox import EVALUATION
from evaluations.robustness.image_blackbox_scores import RECORDS, levels_allowed, sample
from evaluations.scoring import probs_column, with_labels
from evaluations.spec import Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier
    from evaluations.robustness.image_blackbox import ImageBlackBoxParams
    from evaluations.robustness.image_explained import Explained

TOGETHER = 5  # images of a model at hand; a service says how many it takes
LEAST = 1e-30  # of a probability, under the logarithm


@dataclass
class Attack:
    """One image under attack. Tensors (1, channels, height, width) with values from 0 to 1."""

    place: int  # in the shard
    truth: int
    clean: Tensor
    draws: square.Draws
    best: Tensor
    tried: Tensor
    lowest: float = np.inf  # the smallest margin so far
    queries: int = 0
    file: bytes = b""  # the image that changed the answer

    def hear(self, probs: NDArray[np.float64], sent: bytes) -> None:
        """The answer to the image tried: kept where it lowers the margin. NaN is a query without an answer."""
        self.queries += 1
        logs = np.log(np.maximum(np.nan_to_num(probs, nan=1.0), LEAST))
        margin = (
            np.inf if np.isnan(probs).any() else float(logs[self.truth] - np.delete(logs, self.truth).max())
        )
        if margin < self.lowest:
            self.best, self.lowest = self.tried, margin
        if np.isfinite(probs).all() and int(probs.argmax()) != self.truth:
            self.file = sent


def attack_shard(
    model: Classifier, data: Dataset, params: ImageBlackBoxParams, ctx: Context, shard: Shard
) -> ShardState:
    """Records: answers before, the file that changed the answer (else null), the answer to it asked again, queries.

    They are kept some images at a time, so that a run that was stopped goes on where it was.
    """
    rows = sample(data, params, ctx)[shard.start : shard.stop]
    before = ctx.predictions(model, data, rows)
    room = (
        image_files.SHOWN if params.explain and isinstance(model, ImageNetwork) else 0
    )  # no service is asked

    def attacked(positions: NDArray[np.int64]) -> pa.Table:
        nonlocal room

        def tick(settled: int) -> None:
            ctx.stop_if_cancelled()
            ctx.progress(int(positions[0]) + settled, len(rows), "attacking")

        table = _attacked(model, data, params, ctx, rows[positions], before.take(positions), tick, room)
        room -= table.num_rows - table.column("grid").null_count
        return table

    table = ctx.answers(
        model,
        f"{EVALUATION.name}/{EVALUATION.version}",
        data.ids[rows],
        attacked,
        "attacking",
        pa.schema(RECORDS),
        chunk=TOGETHER,
        seed=ctx.seed,
        **params.model_dump(exclude={"max_error_rate"}),
    )
    columns = {name: table.column(name) for name in table.column_names}
    errors = table.column("probs").null_count
    return ShardState(with_labels(table_of(data, rows, columns), model.labels), {"errors": errors})


def _attacked(
    model: Classifier,
    data: Dataset,
    params: ImageBlackBoxParams,
    ctx: Context,
    rows: NDArray[np.int64],
    before: Scores,
    tick: Callable[[int], None],
    explain: int,
) -> pa.Table:
    """The records of some images, at most so many `explain`ed.

    Those of an image without an answer hold nothing: a later run asks about it again.
    """
    truth = data.class_indices(model.labels)[rows]
    after = Scores.blank(len(rows), len(model.labels))
    ball = Ball("Linf", levels_allowed(params) / 255)
    right = ~before.errors & (np.argmax(np.nan_to_num(before.probs), axis=1) == truth)
    attacks = []
    for place in np.flatnonzero(right):
        (image,) = data.images(rows[place : place + 1])
        rng = ctx.rng(f"{data.ids[rows[place]]}:square")
        begun = _begin(int(place), int(truth[place]), image, rng, ball)
        if begun is None:  # an image that the model answers to and that cannot be opened here is not attacked
            before.errors[place] = True
        else:
            attacks.append(begun)
    attacks = _still_right(model, attacks, before)
    _all_at_once(model, attacks, params.queries, ball, len(rows), tick)
    won = [attack for attack in attacks if attack.file]
    for attack in attacks:
        if attack.lowest == np.inf and not attack.file:  # no query was answered
            before.errors[attack.place] = True
    if won:
        again = _asked(model, [attack.file for attack in won], "again")
        after.put(np.array([attack.place for attack in won]), again)
    explained: list[Explained | None] = [None] * len(rows)
    misled = ~after.errors & (np.argmax(np.nan_to_num(after.probs), axis=1) != truth)
    for attack in [attack for attack in won if misled[attack.place]][:explain]:
        ctx.stop_if_cancelled()
        (image,) = data.images(rows[attack.place : attack.place + 1])
        explained[attack.place] = _explained(model, image, attack)
    files: list[bytes | None] = [None] * len(rows)
    queries: list[int | None] = [None if error else 0 for error in before.errors]
    for attack in attacks:
        if not before.errors[attack.place]:
            files[attack.place], queries[attack.place] = attack.file or None, attack.queries
    columns = {
        "probs": probs_column(before.probs, before.errors),
        "attacked": pa.array(files, pa.binary()),
        "attacked_probs": probs_column(after.probs, after.errors | ~after.seen),
        "queries": pa.array(queries, pa.int64()),
        **image_explained.columns(explained),
    }
    return pa.table(columns, schema=pa.schema(RECORDS))


def _still_right(model: Classifier, attacks: list[Attack], before: Scores) -> list[Attack]:
    """Those whose image the model gets right as the PNG that the attack starts from, whose answers go into `before`.

    A service may read transparency, turned photographs or deep colours in another way: no attack may take the credit.
    """
    if attacks:
        places: NDArray[np.int64] = np.array([attack.place for attack in attacks])
        before.put(places, _asked(model, [_file_of(attack.clean) for attack in attacks], "unchanged"))
    return [
        attack
        for attack in attacks
        if not before.errors[attack.place] and int(before.probs[attack.place].argmax()) == attack.truth
    ]


def _explained(model: Any, image: bytes, attack: Attack) -> Explained | None:
    before, after = model.prepare(image), model.prepare(attack.file)
    if before is None or after is None:
        return None
    return image_explained.explain(model, before, after, attack.truth)


def _begin(place: int, truth: int, image: bytes, rng: np.random.Generator, ball: Ball) -> Attack | None:
    levels = image_files.levels_of(image, "L" if image_files.is_grey(image) else "RGB")
    if levels is None:
        return None
    clean = torch.from_numpy(levels.astype(np.float32))[None] / 255
    first = square.beginning(clean, [rng], ball)
    return Attack(place, truth, clean, square.Draws([rng], clean.shape[1]), best=first, tried=first)


def _all_at_once(
    model: Classifier,
    attacks: Sequence[Attack],
    queries: int,
    ball: Ball,
    rows: int,
    tick: Callable[[int], None],
) -> None:
    """Every query of the attacks still under way is sent with those of the others."""
    active = list(attacks)
    for query in range(queries):
        if not active:
            break
        tick(rows - len(active))
        if query:
            share = square.share_of(query, queries)
            for attack in active:
                attack.tried = square.proposal(
                    attack.best, attack.clean, attack.draws.following(attack.clean), share, ball
                )
        files = [_file_of(attack.tried) for attack in active]
        scores = _asked(model, files, "attack")
        for attack, probs, file in zip(active, scores.probs, files, strict=True):
            attack.hear(probs, file)
        active = [attack for attack in active if not attack.file]


def _asked(model: Classifier, files: list[bytes], question: str) -> Scores:
    """The answers to image files. Raises what stopped a service from being asked, such as its budget."""
    if isinstance(model, Remote):
        model.question = f"robustness.image_blackbox:{question}"
    scores = model.predict_proba(files)
    check_stopped(model)
    return scores


def _file_of(image: Tensor) -> bytes:
    return image_files.written(np.round(image[0].numpy() * 255).astype(np.uint8))
