"""The losses that attacks on images raise: each takes logits (n, K) and gives (n,)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

Loss = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]  # (logits, true classes, target classes)
SMALL = 1e-12


def cross_entropy(logits: Tensor, truth: Tensor, target: Tensor) -> Tensor:
    """−ln p(true class)."""
    return torch.nn.functional.cross_entropy(logits, truth, reduction="none")


def dlr(logits: Tensor, truth: Tensor, target: Tensor) -> Tensor:
    """−(z_y − max_{i≠y} z_i)/(z_π1 − z_π3), π descending: K ≥ 3. Croce & Hein 2020, arXiv 2003.01690, eq. 6."""
    ordered = logits.topk(3, dim=1).values
    return -margin(logits, truth) / (ordered[:, 0] - ordered[:, 2] + SMALL)


def targeted_dlr(logits: Tensor, truth: Tensor, target: Tensor) -> Tensor:
    """−(z_y − z_t)/(z_π1 − ½(z_π3 + z_π4)), π descending: K ≥ 4. The same paper, eq. 7."""
    ordered = logits.topk(4, dim=1).values
    gap = _of(logits, truth) - _of(logits, target)
    return -gap / (ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2 + SMALL)


def margin(logits: Tensor, truth: Tensor) -> Tensor:
    """z_y − max_{i≠y} z_i: positive where the answer is right."""
    others = logits.masked_fill(torch.nn.functional.one_hot(truth, logits.shape[1]).bool(), -torch.inf)
    return _of(logits, truth) - others.amax(1)


def misled(logits: Tensor, truth: Tensor) -> Tensor:
    """(n,) whether the answer is not the true class. A network that gives no numbers is not right either."""
    return (logits.argmax(1) != truth) | ~logits.isfinite().all(1)


def _of(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None])[:, 0]
