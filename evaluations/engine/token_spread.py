"""ln p of each token beside its mean and spread under the model's own distribution, a slice of logits at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluations.engine import continuations
from evaluations.engine.continuations import Places, Request
from evaluations.models.protocol import TokenLogprobs

SLICE = 2**21  # numbers of one working copy: it stays near the cache of a CPU


def score(network: Any, requests: Sequence[Request], device: str) -> list[TokenLogprobs | None]:
    """One answer per request, token by token of its continuation; None where one of them is no number."""
    found: list[TokenLogprobs | None] = [None] * len(requests)
    for batch in continuations.batches(network, requests, device):
        logits, places = continuations.logits_of(network, [requests[i] for i in batch], device)
        told = read(logits, places)
        for i, part in zip(batch, np.split(told, places.starts[1:], axis=1), strict=True):
            if np.isfinite(part).all():
                found[i] = TokenLogprobs(*part)
    return found


def read(logits: Any, places: Places) -> NDArray[np.float64]:
    """ln p, its mean and its standard deviation, shape (3, tokens), at `places` of (batch, positions, vocabulary)."""
    import torch

    flat = logits.reshape(-1, logits.shape[-1])
    rows = torch.tensor(places.rows, device=flat.device)
    tokens = torch.tensor(places.tokens, device=flat.device)
    step = max(1, SLICE // flat.shape[-1])
    with torch.inference_mode():
        parts = [
            _slice(flat[rows[i : i + step]].float(), tokens[i : i + step]) for i in range(0, len(rows), step)
        ]
    told: NDArray[np.float64] = torch.cat(parts, 1).cpu().numpy()
    return told


def _slice(logits: Any, tokens: Any) -> Any:
    """As `read`, of the rows of one working copy, which is written over.

    All is reckoned from the largest logit, so that what every token has in common cancels exactly: a uniform
    distribution has spread 0, and its tokens stand at their mean. The variance is E[(ln p − μ)²], which stays
    above 0 where E[ln² p] − μ² loses all its digits.
    """
    import torch

    below = logits.sub_(logits.amax(-1, keepdim=True))
    given = below.gather(1, tokens[:, None])[:, 0].double()
    probs = below.exp()
    sums = probs.sum(-1, keepdim=True)
    probs.div_(sums)
    below.masked_fill_(probs == 0, 0.0)  # 0 · ln 0 is 0, also where a model forbids a token by a logit of −∞
    means = torch.linalg.vecdot(probs, below)
    variances = torch.linalg.vecdot(probs, below.sub_(means[:, None]).square_())
    logs = sums[:, 0].double().log()
    return torch.stack([given - logs, means.double() - logs, variances.double().sqrt()])
