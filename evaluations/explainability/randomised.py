"""The audited architecture with other weights. The registered network itself is never changed."""

from __future__ import annotations

import copy
from typing import Any


def twin(model: Any, network: Any) -> Any:
    """The adapter around another network: same tokenizer or preparation, same count of queries."""
    other = copy.copy(model)
    other.network = network
    return other


def fresh(model: Any, seed: int) -> Any:
    """The model with every weight drawn anew, as the architecture draws them before training.

    Torch's own generators are left as they were.
    """
    import torch

    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(seed)
        network = type(model.network)(copy.deepcopy(model.network.config))
    return twin(model, network.to(model.device).requires_grad_(False).eval())
