"""Square: a random search that asks for scores and no gradients (Andriushchenko et al. 2020, arXiv 1912.00049).

It recolours one square after the other and keeps what lowers the margin. Who asks keeps the loop: `search` for a
network at hand, `image_blackbox_run` for a service.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from evaluations.robustness.image_ball import SMALL, Ball, per_row

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

FIRST_SHARE = 0.8  # p: share of the image that the first square covers
HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of PUBLISHED queries
PUBLISHED = 10_000
PLACES = 5  # draws of a proposal that are no signs: two corners, and whether a bump is turned
AT_ONCE = 64  # proposals whose draws are made together


def search(
    margins: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    truth: Tensor,
    rngs: Sequence[np.random.Generator],
    ball: Ball,
    queries: int,
    schedule: int,
    tick: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """The images with those replaced whose margin fell to 0 within `queries`, and the mask (n,) of these.

    `margins` gives (n,) margins of images and their true classes. Squares shrink as if `schedule` queries were asked.
    """
    found, changed = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    row = torch.arange(len(images), device=images.device)
    clean, best, draws = images, beginning(images, rngs, ball), Draws(rngs, images.shape[1])
    lowest = margins(best, truth)
    for query in range(1, queries):
        won = lowest <= 0
        if won.any():
            found[row[won]], changed[row[won]] = best[won], True
            keep = ~won
            draws.keep(keep.cpu().numpy())
            row, clean, best, lowest, truth = row[keep], clean[keep], best[keep], lowest[keep], truth[keep]
        if not len(row):
            break
        tick()
        tried = proposal(best, clean, draws.following(clean), share_of(query, schedule), ball)
        margin = margins(tried, truth)
        better = margin < lowest
        best = torch.where(per_row(better), tried, best)
        lowest = torch.where(better, margin, lowest)
    won = lowest <= 0
    found[row[won]], changed[row[won]] = best[won], True
    return found, changed


class Draws:
    """Numbers from 0 to 1 for one proposal after the other, of each image's own generator, drawn some at a time."""

    def __init__(self, rngs: Sequence[np.random.Generator], channels: int) -> None:
        self.rngs = list(rngs)
        self.count = PLACES + channels
        self.used = AT_ONCE
        self.held: NDArray[np.float64] = np.empty((len(self.rngs), 0, self.count))

    def following(self, like: Tensor) -> Tensor:
        """(n, PLACES + channels) for the next proposal: two places, a turn, and a sign of each channel."""
        if self.used == AT_ONCE:
            self.held = np.stack([rng.random((AT_ONCE, self.count)) for rng in self.rngs])
            self.used = 0
        self.used += 1
        return torch.from_numpy(self.held[:, self.used - 1]).to(like)

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forgets the other images."""
        self.rngs = [rng for rng, kept in zip(self.rngs, rows, strict=True) if kept]
        self.held = self.held[rows]


def share_of(query: int, schedule: int) -> float:
    """Share of the image that the square of this query (from 1) covers, by a schedule of so many queries."""
    place = (query - 1) * PUBLISHED / schedule
    return FIRST_SHARE * 0.5 ** sum(place > at for at in HALVED_AT)


def beginning(clean: Tensor, rngs: Sequence[np.random.Generator], ball: Ball) -> Tensor:
    """The first query: vertical stripes (Linf), or a grid of bumps (L2)."""
    n, channels, height, width = clean.shape
    if ball.norm == "Linf":
        stripes = _signs(_draws(rngs, channels * width, clean)).reshape(n, channels, 1, width)
        return torch.clamp(clean + ball.epsilon * stripes, 0, 1)
    side = max(1, height // 5)
    delta = torch.zeros_like(clean)
    for top in range((height - height // side * side) // 2, height - side + 1, side):
        for left in range((width - width // side * side) // 2, width - side + 1, side):
            signs = _signs(_draws(rngs, channels, clean))[:, :, None, None]
            delta[:, :, top : top + side, left : left + side] = bump(side).to(clean) * signs
    return ball.nearest(clean + ball.scaled(delta), clean)


def proposal(best: Tensor, clean: Tensor, drawn: Tensor, share: float, ball: Ball) -> Tensor:
    """The best images so far with one square changed, at a place and with signs of each image's own `Draws`."""
    height, width = clean.shape[2:]
    side = max(1, min(round(math.sqrt(share * height * width)), height, width))
    if ball.norm == "L2":
        side = min(max(3, side) | 1, height, width)
    signs = _signs(drawn[:, PLACES:])[:, :, None, None]
    inside = _window(drawn[:, 0], drawn[:, 1], side, height, width)
    if ball.norm == "Linf":
        return torch.where(inside, clean + ball.epsilon * signs, best).clamp(0, 1)
    other = _window(drawn[:, 2], drawn[:, 3], side, height, width)
    return _moved_mass(best - clean, clean, inside, other, side, signs, drawn[:, 4], ball)


def _moved_mass(
    delta: Tensor,
    clean: Tensor,
    inside: Tensor,
    other: Tensor,
    side: int,
    signs: Tensor,
    turn: Tensor,
    ball: Ball,
) -> Tensor:
    """L2: the perturbation of a second window moves to the first, onto a bump added to what is there."""
    n, channels = delta.shape[:2]
    here = delta[inside.expand_as(delta)].reshape(n, channels, side, side)
    pattern = bump(side).to(delta)
    pattern = torch.where(per_row(turn) > 0.5, pattern.T, pattern) * signs
    fresh = pattern + here / (_norms(here) + SMALL)
    unused = (ball.epsilon**2 - delta.flatten(1).pow(2).sum(1)).clamp(min=0)
    mass = (per_row(unused) / channels + _norms(delta * (inside | other)).pow(2)).sqrt()
    fresh = fresh / (_norms(fresh) + SMALL) * mass
    moved = delta.masked_fill(other, 0).masked_scatter(inside.expand_as(delta), fresh)
    return torch.clamp(clean + ball.scaled(moved), 0, 1)


def bump(side: int) -> Tensor:
    """η of the paper, (side, side): two heaps of opposite sign, of norm 1."""
    half = side // 2
    heaps = torch.cat([_heap(half, side), -_heap(side - half, side)])
    return heaps / (heaps.norm() + SMALL)


def _heap(height: int, width: int) -> Tensor:
    """Nested rectangles around the middle that add 1/m² each, of norm 1."""
    heap = torch.zeros(height, width)
    top, left = height // 2, width // 2
    for m in range(max(height, width) // 2 + 1):
        heap[max(0, top - m) : top + m + 1, max(0, left - m) : left + m + 1] += 1 / (m + 1) ** 2
    return heap / (heap.norm() + SMALL)


def _norms(delta: Tensor) -> Tensor:
    """(n, channels, 1, 1) L2 norms of each channel."""
    return delta.pow(2).sum((-2, -1), keepdim=True).sqrt()


def _window(down: Tensor, across: Tensor, side: int, height: int, width: int) -> Tensor:
    """(n, 1, height, width) masks of squares, placed by draws from 0 to 1."""

    def along(draw: Tensor, length: int) -> Tensor:
        start = (draw * (length - side + 1)).floor().clamp(max=length - side)[:, None]
        place = torch.arange(length, device=draw.device)
        return (place >= start) & (place < start + side)

    return along(down, height)[:, None, :, None] & along(across, width)[:, None, None, :]


def _draws(rngs: Sequence[np.random.Generator], count: int, like: Tensor) -> Tensor:
    """(n, count) draws from 0 to 1, a row from each image's own generator."""
    return torch.from_numpy(np.stack([rng.random(count) for rng in rngs])).to(like)


def _signs(draws: Tensor) -> Tensor:
    return torch.where(draws < 0.5, -1.0, 1.0)
