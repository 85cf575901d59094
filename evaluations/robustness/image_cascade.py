"""AutoAttack's cascade: each attack meets only what survived the ones before (Croce & Hein 2020, arXiv 2003.01690)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from evaluations.models.images import BATCH_VALUES
from evaluations.robustness import image_losses, square
from evaluations.robustness.apgd import apgd
from evaluations.robustness.fab import fab
from evaluations.robustness.image_ball import Ball

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from evaluations.models.protocol import ImageGradients

MOST_TARGETS = 9
SCHEDULE = 2  # AutoAttack asks Square 5,000 times, on the schedule of 10,000
Rngs = Callable[[str, int], np.random.Generator]  # of an attack and an example


@dataclass(frozen=True)
class Effort:
    """How hard the attacks try. `tick` is called before each step and may raise."""

    ball: Ball
    iterations: int
    queries: int
    tick: Callable[[], None]


class Network:
    """Images (n, channels, height, width) with values from 0 to 1 to logits (n, K)."""

    def __init__(self, model: ImageGradients) -> None:
        self.model = model

    def __call__(self, images: Tensor) -> Tensor:
        if (
            len(images) == 1
        ):  # libraries reckon one image another way than several: results must not depend on that
            logits: Tensor = self.model.logits_of_units(torch.cat([images, images]))[:1]
        else:
            logits = self.model.logits_of_units(images)
        return logits

    def parts(self, images: Tensor) -> Iterator[slice]:
        """Parts of a batch, each small enough for one pass."""
        size = max(1, BATCH_VALUES // max(1, images[:1].numel()))
        yield from (slice(start, start + size) for start in range(0, len(images), size))

    def margins(self, images: Tensor, truth: Tensor) -> Tensor:
        with torch.no_grad():
            return image_losses.margin(self(images), truth).nan_to_num(nan=-torch.inf)

    def answers(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([self(images[part]) for part in self.parts(images)])

    def blind(self, images: Tensor, truth: Tensor) -> Tensor:
        """(n,) whether the gradient of the cross-entropy is zero, or no number, everywhere in the image."""
        found = []
        for part in self.parts(images):
            image = images[part].clone().requires_grad_()
            loss = image_losses.cross_entropy(self(image), truth[part], truth[part]).sum()
            (gradient,) = torch.autograd.grad(loss, image)
            found.append((gradient.nan_to_num(0.0, 0.0, 0.0) == 0).flatten(1).all(1))
        return torch.cat(found)

    def probs(self, images: Tensor) -> NDArray[np.float64]:
        """Probabilities as the registered model gives them, by its own pass over prepared pixels."""
        pixels = self.model.units.to_pixels(images.cpu().numpy())
        return np.concatenate([self.model.probs_of_pixels(pixels[part]) for part in self.parts(images)])


def attack(
    name: str,
    network: Network,
    images: Tensor,
    truth: Tensor,
    rows: Sequence[int],
    rngs: Rngs,
    effort: Effort,
) -> tuple[Tensor, Tensor]:
    """One attack on images of one size. The images with those replaced that it changed the answer to, and the mask.

    `rows` names each image to `rngs`.
    """
    found, changed = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for part in network.parts(images):
        held = [rngs(name, row) for row in rows[part]]
        found[part], changed[part] = _attack_part(name, network, images[part], truth[part], held, effort)
    return found, changed


def _attack_part(
    name: str,
    network: Network,
    images: Tensor,
    truth: Tensor,
    rngs: Sequence[np.random.Generator],
    effort: Effort,
) -> tuple[Tensor, Tensor]:
    ball, iterations, tick = effort.ball, effort.iterations, effort.tick
    if name == "square":
        return square.search(
            network.margins, images, truth, rngs, ball, effort.queries, SCHEDULE * effort.queries, tick
        )
    if name in ("apgd_ce", "apgd_dlr"):
        loss = image_losses.cross_entropy if name == "apgd_ce" else image_losses.dlr
        starts = start_in(ball, images, rngs)
        return apgd(network, images, truth, truth, starts, loss, ball, iterations, tick)
    found, changed = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for targets in targets_of(network.answers(images), truth):
        left = torch.nonzero(~changed)[:, 0]
        if not len(left):
            break
        clean, right, target = images[left], truth[left], targets[left]
        if name == "apgd_t":
            starts = start_in(ball, clean, [rngs[i] for i in left.tolist()])
            made, won = apgd(
                network, clean, right, target, starts, image_losses.targeted_dlr, ball, iterations, tick
            )
        else:
            made, won = fab(network, clean, right, target, ball, iterations, tick)
        found[left[won]], changed[left[won]] = made[won], True
    return found, changed


def targets_of(logits: Tensor, truth: Tensor) -> list[Tensor]:
    """The likeliest wrong classes, one (n,) each, at most nine."""
    logits = logits.scatter(1, truth[:, None], -torch.inf)
    order = logits.argsort(dim=1, descending=True, stable=True)
    return [order[:, k] for k in range(min(MOST_TARGETS, logits.shape[1] - 1))]


def start_in(ball: Ball, images: Tensor, rngs: Sequence[np.random.Generator]) -> Tensor:
    """A random image on the border of the ball around each image."""
    shape = tuple(images.shape[1:])
    drawn = [rng.uniform(-1, 1, shape) if ball.norm == "Linf" else rng.normal(size=shape) for rng in rngs]
    noise = torch.from_numpy(np.stack(drawn)).to(images)
    return ball.nearest(images + ball.scaled(noise), images)
