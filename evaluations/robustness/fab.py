"""FAB-T: the nearest image that another class wins (Croce & Hein 2020, arXiv 1907.02044), towards one class.

Each step linearises the border z_y = z_t, goes to it by the shortest way inside the box, and is drawn towards
the original; once past the border it steps back. An example leaves the batch when it is found within epsilon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from evaluations.robustness.image_ball import Ball, onto_plane, per_row
from evaluations.robustness.image_losses import misled

if TYPE_CHECKING:
    from torch import Tensor

OVERSHOOT = 1.05  # η
BACK = 0.9  # β
MOST_BIAS = 0.1  # α_max: how far a step is drawn towards the original


def fab(
    network: Callable[[Tensor], Tensor],
    images: Tensor,
    truth: Tensor,
    target: Tensor,
    ball: Ball,
    iterations: int,
    tick: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """The images with those replaced for which the answer changed within the ball, and the mask (n,) of these."""
    found, changed = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    row = torch.arange(len(images), device=images.device)
    clean, image = images, images
    for _ in range(iterations):
        if not len(row):
            break
        tick()
        gap, gradient = _border(network, image, truth, target)
        image = _nearer(image, clean, gap, gradient, ball)
        with torch.no_grad():
            wrong = misled(network(image), truth)
        delta = image - clean
        near = wrong & (ball.size(delta) <= ball.epsilon)
        found[row[near]], changed[row[near]] = image[near], True
        image = torch.where(per_row(wrong), clean + BACK * delta, image)
        keep = ~near
        row, clean, image, truth, target = row[keep], clean[keep], image[keep], truth[keep], target[keep]
    return found, changed


def _border(
    network: Callable[[Tensor], Tensor], image: Tensor, truth: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """z_t − z_y (n,), negative while the answer is right, and its gradient (n, d)."""
    image = image.detach().requires_grad_()
    logits = network(image)
    gap = (logits.gather(1, target[:, None]) - logits.gather(1, truth[:, None]))[:, 0]
    (gradient,) = torch.autograd.grad(gap.sum(), image)
    return gap.detach().nan_to_num(0.0, 0.0, 0.0), gradient.nan_to_num(0.0, 0.0, 0.0).flatten(1)


def _nearer(image: Tensor, clean: Tensor, gap: Tensor, gradient: Tensor, ball: Ball) -> Tensor:
    """One step: both the image and the original are projected on the border, and their targets are mixed."""
    points, origins = image.flatten(1), clean.flatten(1)
    offset = (gradient * points).sum(1) - gap
    there = onto_plane(points, gradient, offset, ball.norm).reshape(image.shape)
    from_clean = onto_plane(origins, gradient, offset, ball.norm).reshape(image.shape)
    far = ball.size(there).clamp(min=1e-8)
    bias = per_row((far / (far + ball.size(from_clean).clamp(min=1e-8))).clamp(0, MOST_BIAS))
    mixed = (image + OVERSHOOT * there) * (1 - bias) + (clean + OVERSHOOT * from_clean) * bias
    return mixed.clamp(0, 1)
