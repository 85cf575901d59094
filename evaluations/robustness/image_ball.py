"""The images within a distance, Linf or L2, of an image. Batches are (n, channels, height, width), from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from torch import Tensor

Norm = Literal["Linf", "L2"]
SMALL = 1e-12


def per_row(values: Tensor) -> Tensor:
    """(n,) values as (n, 1, 1, 1), to go with a batch of images."""
    return values.reshape(-1, 1, 1, 1)


@dataclass(frozen=True)
class Ball:
    """All images whose perturbation has at most the norm `epsilon`."""

    norm: Norm
    epsilon: float

    def size(self, delta: Tensor) -> Tensor:
        """(n,) norms of perturbations."""
        flat = delta.flatten(1)
        return flat.abs().amax(1) if self.norm == "Linf" else flat.double().norm(dim=1).to(delta)

    def direction(self, delta: Tensor) -> Tensor:
        """The steepest step of length 1 along gradients."""
        if self.norm == "Linf":
            return delta.sign()
        return delta / (per_row(self.size(delta)) + SMALL)

    def scaled(self, noise: Tensor) -> Tensor:
        """Noise blown up to the border of the ball around 0."""
        return noise / (per_row(self.size(noise)) + SMALL) * self.epsilon

    def nearest(self, images: Tensor, centre: Tensor) -> Tensor:
        """`images` brought back into the ball around `centre`, and between 0 and 1."""
        if self.norm == "Linf":
            return torch.clamp(images.clamp(centre - self.epsilon, centre + self.epsilon), 0, 1)
        delta = images - centre
        size = per_row(self.size(delta))
        return torch.clamp(centre + delta / (size + SMALL) * size.clamp(max=self.epsilon), 0, 1)


def onto_plane(points: Tensor, normal: Tensor, offset: Tensor, norm: Norm) -> Tensor:
    """The smallest moves (n, d) that bring `points` (n, d) to the planes ⟨normal, x⟩ = offset (n,), inside [0, 1]ᵈ.

    Every coordinate moves at speed 1 (Linf) or in proportion to its weight (L2) until it meets the box; the
    time needed is found on the sorted times at which they meet it. Where the box does not reach the plane, the
    corner nearest to it. Croce & Hein 2020, arXiv 1907.02044, §2.2.
    """
    largest = normal.abs().amax(1, keepdim=True).clamp(min=SMALL**2)
    normal, offset = normal / largest, offset / largest[:, 0]  # squares of small gradients vanish in 32 bits
    gap = (normal * points).sum(1) - offset
    weights = normal * torch.where(gap >= 0, 1.0, -1.0)[:, None]  # so that ⟨weights, x⟩ must fall by |gap|
    speed = (weights != 0).to(points) if norm == "Linf" else weights.abs()
    room = torch.where(weights > 0, points, 1 - points)
    times = torch.where(speed > 0, room / speed.clamp(min=SMALL), torch.zeros_like(room))
    order = times.argsort(dim=1)
    times = times.gather(1, order)
    arrived = (weights.abs() * room).gather(
        1, order
    )  # what a coordinate has contributed once it meets the box
    rates = (weights.abs() * speed).gather(1, order)
    before = arrived.cumsum(1) - arrived  # contributed by those that met the box earlier
    rate = rates.flip(1).cumsum(1).flip(1)  # of those still moving
    fallen = before + rate * times  # at each meeting time; rises along the row
    first = torch.searchsorted(fallen, gap.abs()[:, None]).clamp(max=points.shape[1] - 1)
    time = (gap.abs()[:, None] - before.gather(1, first)) / rate.gather(1, first).clamp(min=SMALL)
    beyond = gap.abs() > fallen[:, -1]
    time = torch.where(beyond[:, None], times[:, -1:], time)
    return -weights.sign() * torch.minimum(time.clamp(min=0) * speed, room)
