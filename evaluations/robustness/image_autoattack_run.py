"""The half of robustness.image_autoattack that holds the model: attacks images, asks about what it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

from evaluations.models.protocol import Scores
from evaluations.records import table_of
from evaluations.robustness import image_explained, image_files
from evaluations.robustness.image_autoattack import EVALUATION, SHARD_EXAMPLES
from evaluations.robustness.image_autoattack_scores import RECORDS, attacks_for, checked, sample
from evaluations.robustness.image_ball import Ball
from evaluations.robustness.image_cascade import Effort, Network, attack
from evaluations.scoring import probs_column, with_labels
from evaluations.spec import Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import ImageGradients
    from evaluations.robustness.image_autoattack import ImageAutoAttackParams
    from evaluations.robustness.image_explained import Explained

VALUES = 2 * 3 * 224 * 224  # numbers in a batch on a processor
KEPT = 500  # examples of a run whose images are handed over: bytes that every later step reads


class Answers:
    """What the records say, a row per image."""

    def __init__(self, before: Scores) -> None:
        n, classes = before.probs.shape
        self.before = before
        self.attacked, self.square, self.unbounded, self.saved = (Scores.blank(n, classes) for _ in range(4))
        self.outputs, self.again = np.full((n, classes), np.nan), np.full((n, classes), np.nan)
        self.blind: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        self.attack = [""] * n
        self.distance, self.square_distance = np.full(n, np.nan), np.full(n, np.nan)
        self.files: list[tuple[bytes, bytes] | None] = [None] * n
        self.found: dict[int, NDArray[np.float32]] = {}  # attacked images that have files, by row
        self.explained: list[Explained | None] = [None] * n

    def table(self) -> pa.Table:
        columns = {
            "probs": probs_column(self.before.probs, self.before.errors),
            "outputs": probs_column(self.outputs, ~np.isfinite(self.outputs).all(axis=1)),
            "outputs_again": probs_column(self.again, ~np.isfinite(self.again).all(axis=1)),
            "zero_gradient": pa.array(self.blind.tolist(), pa.bool_()),
            "attack": pa.array(self.attack, pa.string()),
            "attacked_probs": _given(self.attacked),
            "distance": pa.array(self.distance, pa.float64(), from_pandas=True),
            "square_probs": _given(self.square),
            "square_distance": pa.array(self.square_distance, pa.float64(), from_pandas=True),
            "unbounded_found": pa.array(self.unbounded.seen.tolist(), pa.bool_()),
            "unbounded_probs": _given(self.unbounded),
            "before": pa.array([pair and pair[0] for pair in self.files], pa.binary()),
            "after": pa.array([pair and pair[1] for pair in self.files], pa.binary()),
            "saved_probs": _given(self.saved),
            **image_explained.columns(self.explained),
        }
        return pa.table(columns, schema=pa.schema(RECORDS))


def attack_shard(
    model: ImageGradients, data: Dataset, params: ImageAutoAttackParams, ctx: Context, shard: Shard
) -> ShardState:
    """Records: answers before, what each check of the attack itself saw, and the answers to what was found.

    They are kept some images at a time, so that a run that was stopped goes on where it was.
    """
    sampled = sample(data, params, ctx)
    rows = sampled[shard.start : shard.stop]
    block = Block(
        model=model,
        data=data,
        params=params,
        ctx=ctx,
        rows=rows,
        before=ctx.predictions(model, data, rows),
        check=checked(data, sampled, params, ctx)[shard.start : shard.stop],
        kept=np.arange(shard.start, shard.start + len(rows)) < KEPT,
    )
    table = ctx.answers(
        model,
        f"{EVALUATION.name}/{EVALUATION.version}",
        data.ids[rows],
        block.attacked,
        "attacking",
        pa.schema(RECORDS),
        chunk=_together(model, data.images(rows[:1])[0]),
        seed=ctx.seed,
        **params.model_dump(exclude={"max_error_rate"}),
    )
    columns = {name: table.column(name) for name in table.column_names}
    table = with_labels(table_of(data, rows, columns), model.labels)
    return ShardState(table, {"errors": int(block.before.errors.sum())})


def _together(model: ImageGradients, image: bytes) -> int:
    """How many images are attacked in one batch: on a processor few large ones, which gain nothing by it."""
    pixels = model.prepare(image)
    if pixels is None or model.device != "cpu":
        return SHARD_EXAMPLES
    return int(max(1, min(SHARD_EXAMPLES, VALUES // pixels.size)))


@dataclass
class Block:
    """The images of a shard, (n,) of each."""

    model: ImageGradients
    data: Dataset
    params: ImageAutoAttackParams
    ctx: Context
    rows: NDArray[np.int64]
    before: Scores
    check: NDArray[np.bool_]
    kept: NDArray[np.bool_]
    explained: int = 0

    def attacked(self, positions: NDArray[np.int64]) -> pa.Table:
        """The records of some of them."""
        model, rows = self.model, self.rows[positions]
        truth = self.data.class_indices(model.labels)[rows]
        answers = Answers(self.before.take(positions))
        wrong = answers.before.errors | (np.argmax(np.nan_to_num(answers.before.probs), axis=1) != truth)
        places: dict[
            tuple[int, ...], list[int]
        ] = {}  # images that the preparation leaves with different sizes
        pixels: list[NDArray[np.float32] | None] = [model.prepare(image) for image in self.data.images(rows)]
        for place, image in enumerate(pixels):
            if image is not None and not answers.before.errors[place]:
                places.setdefault(image.shape, []).append(place)
        done = int(positions[0]) + int(wrong.sum())
        for held in places.values():
            images = model.units.of_pixels(
                np.stack([image for k in held if (image := pixels[k]) is not None])
            )
            group = Group(
                model=model,
                images=torch.from_numpy(images).to(model.device),
                truth=torch.from_numpy(truth[held]).to(model.device),
                places=np.array(held),
                names=[str(self.data.ids[rows[k]]) for k in held],
                right=~wrong[held],
                check=self.check[positions][held],
                kept=self.kept[positions][held],
            )
            done = _attack_group(group, answers, self.params, self.ctx, done, len(self.rows))
        if self.params.explain:
            self.explain(pixels, truth, answers)
        return answers.table()

    def explain(
        self, pixels: list[NDArray[np.float32] | None], truth: NDArray[np.int64], answers: Answers
    ) -> None:
        """Those that may be shown: the first by id."""
        for place in sorted(answers.found)[: image_files.SHOWN - self.explained]:
            self.ctx.stop_if_cancelled()
            before, after = pixels[place], self.model.units.to_pixels(answers.found[place])
            if before is not None:
                self.explained += 1
                answers.explained[place] = image_explained.explain(
                    self.model, before, after, int(truth[place])
                )


@dataclass(frozen=True)
class Group:
    """Images of one size: (n, channels, height, width) on the model's device, with masks (n,)."""

    model: ImageGradients
    images: Tensor
    truth: Tensor
    places: NDArray[np.int64]  # of each in the shard
    names: list[str]
    right: NDArray[np.bool_]
    check: NDArray[np.bool_]
    kept: NDArray[np.bool_]


def _attack_group(
    group: Group, answers: Answers, params: ImageAutoAttackParams, ctx: Context, done: int, total: int
) -> int:
    """Fills in the answers of one group. Returns how many of the shard's images are settled."""
    network, ball = Network(group.model), Ball(params.norm, params.epsilon)
    settled = done

    def tick() -> None:
        ctx.stop_if_cancelled()
        ctx.progress(min(settled, total - 1), total, "attacking")

    effort = Effort(ball, params.iterations, params.square_queries, tick)
    answers.outputs[group.places] = network.answers(group.images).cpu().numpy()
    answers.again[group.places] = network.answers(group.images).cpu().numpy()
    right: NDArray[np.int64] = np.flatnonzero(group.right)
    if not len(right):
        return settled
    answers.blind[group.places[right]] = network.blind(group.images[right], group.truth[right]).cpu().numpy()

    def found_by(
        name: str, asked: NDArray[np.int64], how: Effort = effort, named: str = ""
    ) -> tuple[NDArray[np.int64], Tensor, NDArray[np.float64]]:
        """Which of the images `asked` an attack claims to have changed the answer to, these images, and the answers."""

        def rng(attack_name: str, k: int) -> np.random.Generator:
            return ctx.rng(f"{group.names[k]}:{named or attack_name}")

        images, changed = attack(
            name, network, group.images[asked], group.truth[asked], asked.tolist(), rng, how
        )
        won = changed.cpu().numpy()
        found, images = asked[won], images[changed]
        probs = network.probs(images) if len(found) else np.empty((0, answers.outputs.shape[1]))
        return found, images, probs

    left = right
    for name in attacks_for(answers.outputs.shape[1]):
        also = np.flatnonzero(group.right & group.check) if name == "square" else left[:0]
        asked = np.union1d(left, also)
        if not len(asked):
            continue
        found, images, probs = found_by(name, asked)
        distance = ball.size(images - group.images[found]).double().cpu().numpy()
        if name == "square":
            alone = np.isin(found, also)
            answers.square.put(group.places[found[alone]], Scores.checked(probs[alone]))
            answers.square_distance[group.places[found[alone]]] = distance[alone]
        truth = group.truth[found].cpu().numpy()
        silent = ~np.isfinite(probs).all(axis=1)  # no answer is not the right one
        confirmed = np.isin(found, left) & (silent | (probs.argmax(axis=1) != truth))
        for k in np.flatnonzero(confirmed):
            place = int(group.places[found[k]])
            answers.attack[place], answers.distance[place] = name, distance[k]
            answers.attacked.put(np.array([place]), Scores.checked(probs[k : k + 1]))
            if group.kept[found[k]]:
                _keep(group, int(found[k]), images[k], ball, answers)
        left = np.setdiff1d(left, found[confirmed])
        settled = done + len(right) - len(left)
    whole = Effort(Ball("Linf", 1.0), params.iterations, 1, tick)
    asked = np.flatnonzero(group.right & group.check)
    if len(asked):
        found, _images, probs = found_by("apgd_ce", asked, whole, "unbounded")
        answers.unbounded.put(group.places[found], Scores.checked(probs))
    return done + len(right)


def _keep(group: Group, k: int, attacked: Tensor, ball: Ball, answers: Answers) -> None:
    """Both images as 8-bit files, the attacked one rounded inside the ball, and the answer to that file."""
    clean = group.images[k].cpu().numpy()
    before: NDArray[np.int64] = np.round(clean * 255).astype(np.int64)
    moved = (attacked.cpu().numpy() - clean) * 255
    if ball.norm == "Linf":
        most = np.floor(ball.epsilon * 255 + 1e-6)
        steps = np.clip(np.round(moved), -most, most)
    else:
        steps = np.trunc(moved)
    after = np.clip(before + steps.astype(np.int64), 0, 255)
    files = image_files.written(before.astype(np.uint8)), image_files.written(after.astype(np.uint8))
    place = int(group.places[k])
    answers.files[place] = files
    if not answers.attacked.errors[place]:
        answers.found[place] = attacked.cpu().numpy()
    answers.saved.put(np.array([place]), group.model.predict_proba([files[1]]))


def _given(scores: Scores) -> pa.Array:
    return probs_column(scores.probs, scores.errors | ~scores.seen)
