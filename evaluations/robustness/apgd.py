"""Auto-PGD: projected gradient ascent that chooses its own step sizes (Croce & Hein 2020, arXiv 2003.01690, §3).

Examples whose answer has changed leave the batch at once: they are found, whatever the loss does later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import torch

from evaluations.robustness.image_ball import Ball, per_row
from evaluations.robustness.image_losses import misled

if TYPE_CHECKING:
    from torch import Tensor

    from evaluations.robustness.image_losses import Loss

MOMENTUM = 0.75  # α
RISING = 0.75  # ρ: steps of a stretch that must raise the loss, or the step is halved


def checkpoints(iterations: int) -> list[int]:
    """w_j = ⌈p_j N⌉ with p_0 = 0, p_1 = .22, p_{j+1} = p_j + max(p_j − p_{j−1} − .03, .06)."""
    earlier, now = 0.0, 0.22
    found = []
    while now <= 1:
        found.append(math.ceil(round(now * iterations, 9)))
        earlier, now = now, now + max(now - earlier - 0.03, 0.06)
    return sorted(set(found))


@dataclass
class Search:
    """The examples still attacked, a row each."""

    row: Tensor  # where it stands in the batch that was given
    clean: Tensor
    truth: Tensor
    target: Tensor
    image: Tensor
    earlier: Tensor  # the image one step before
    gradient: Tensor
    loss: Tensor
    best_image: Tensor
    best_gradient: Tensor
    best_loss: Tensor
    step: Tensor
    rises: Tensor  # steps since the last checkpoint that raised the loss
    best_then: Tensor  # the best loss at the last checkpoint
    halved_then: Tensor  # whether the step was halved there

    def only(self, keep: Tensor) -> Self:
        return type(self)(*(getattr(self, field.name)[keep] for field in fields(self)))


def apgd(
    network: Callable[[Tensor], Tensor],
    images: Tensor,
    truth: Tensor,
    target: Tensor,
    starts: Tensor,
    loss: Loss,
    ball: Ball,
    iterations: int,
    tick: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """The images with those replaced for which the answer changed, and the mask (n,) of these.

    `starts` are images in the ball to begin from; `tick` is called before each step and may raise.
    """
    found, changed = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)

    def looked_at(image: Tensor, truth: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image = image.detach().requires_grad_()
        logits = network(image)
        values = loss(logits, truth, target)
        (gradient,) = torch.autograd.grad(values.sum(), image)
        wrong = misled(logits.detach(), truth)
        return values.detach(), gradient.nan_to_num(0.0, 0.0, 0.0), wrong

    def without_found(search: Search, wrong: Tensor) -> Search:
        if not wrong.any():
            return search
        found[search.row[wrong]] = search.image[wrong]
        changed[search.row[wrong]] = True
        return search.only(~wrong)

    values, gradient, wrong = looked_at(starts, truth, target)
    search = Search(
        row=torch.arange(len(images), device=images.device),
        clean=images,
        truth=truth,
        target=target,
        image=starts,
        earlier=starts,
        gradient=gradient,
        loss=values,
        best_image=starts,
        best_gradient=gradient,
        best_loss=values,
        step=torch.full_like(values, 2 * ball.epsilon),
        rises=torch.zeros_like(values),
        best_then=values,
        halved_then=torch.ones_like(wrong),
    )
    search = without_found(search, wrong)
    checked, last = set(checkpoints(iterations)), 0
    for i in range(iterations):
        if not len(search.row):
            break
        tick()
        share = MOMENTUM if i else 1.0
        stepped = search.image + per_row(search.step) * ball.direction(search.gradient)
        stepped = ball.nearest(stepped, search.clean)
        moved = (
            search.image + share * (stepped - search.image) + (1 - share) * (search.image - search.earlier)
        )
        search.earlier, search.image = search.image, ball.nearest(moved, search.clean)
        values, search.gradient, wrong = looked_at(search.image, search.truth, search.target)
        search.rises = search.rises + (values > search.loss)
        search.loss = values
        better = values > search.best_loss
        search.best_image = torch.where(per_row(better), search.image, search.best_image)
        search.best_gradient = torch.where(per_row(better), search.gradient, search.best_gradient)
        search.best_loss = torch.where(better, values, search.best_loss)
        search = without_found(search, wrong)
        if i + 1 in checked:
            _halve_where_stuck(search, i + 1 - last)
            last = i + 1
    return found, changed


def _halve_where_stuck(search: Search, steps: int) -> None:
    """At a checkpoint `steps` after the last: halves the step and goes back to the best image, where either too few
    steps raised the loss, or neither step nor best loss has changed since the last checkpoint."""
    unchanged = ~search.halved_then & (search.best_then >= search.best_loss)
    stuck = (search.rises <= RISING * steps) | unchanged
    search.step = torch.where(stuck, search.step / 2, search.step)
    search.image = torch.where(per_row(stuck), search.best_image, search.image)
    search.gradient = torch.where(per_row(stuck), search.best_gradient, search.gradient)
    search.halved_then, search.best_then = stuck, search.best_loss
    search.rises = torch.zeros_like(search.rises)
