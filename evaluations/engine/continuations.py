"""Log-likelihoods of continuations by token ids, each sequence in a row of its own: the path that every network has."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluations.engine.batching import token_budget_batches

# Padded tokens per forward pass. A CPU is fastest where activations stay in its cache, a GPU where it is full.
TOKENS = {"cpu": 1024, "cuda": 32768}
LOGITS = {"cpu": 2**26, "cuda": 2**29}  # numbers that the head may write at once, 4 bytes each


@dataclass(frozen=True)
class Request:
    """Score `continuation` after `context`; both hold at least one token."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]


@dataclass(frozen=True)
class Scored:
    """ln p(continuation | context); `greedy`: every token was the most probable one."""

    logprob: float
    greedy: bool


@dataclass
class Places:
    """Where the logits of a batch of continuations stand: flat row numbers and the tokens that followed."""

    rows: list[int]
    tokens: list[int]
    starts: list[int]  # where each continuation begins in the two lists

    @classmethod
    def none(cls) -> Places:
        return cls([], [], [])

    def add(self, rows: Sequence[int], tokens: Sequence[int]) -> None:
        self.starts.append(len(self.rows))
        self.rows.extend(rows)
        self.tokens.extend(tokens)


def read(logits: Any, places: Places) -> list[Scored]:
    """The continuations at `places` of logits of shape (batch, positions, vocabulary)."""
    import torch

    flat = logits.reshape(-1, logits.shape[-1]).float()
    rows = torch.tensor(places.rows, device=flat.device)
    tokens = torch.tensor(places.tokens, device=flat.device)
    given = flat[rows, tokens]
    logprobs = (given - flat.logsumexp(-1)[rows]).double().cpu().numpy()
    first = (flat.argmax(-1)[rows] == tokens).cpu().numpy()
    sums = np.add.reduceat(logprobs, places.starts)
    greedy = np.logical_and.reduceat(first, places.starts)
    return [Scored(float(s), bool(g)) for s, g in zip(sums, greedy, strict=True)]


def score(network: Any, requests: Sequence[Request], device: str) -> list[Scored]:
    """One row per request, padded on the right, the head on the rows that predict the continuation only."""
    found: list[Scored | None] = [None] * len(requests)
    for batch in batches(network, requests, device):
        logits, places = logits_of(network, [requests[i] for i in batch], device)
        for i, scored in zip(batch, read(logits, places), strict=True):
            found[i] = scored
    return [scored for scored in found if scored is not None]


def batches(network: Any, requests: Sequence[Request], device: str) -> Iterator[list[int]]:
    """Indices of requests, longest first, whose tokens and logits fit into memory at once."""
    vocabulary = network.config.get_text_config().vocab_size
    lengths = [len(r.context) + len(r.continuation) - 1 for r in requests]
    rows = max(1, LOGITS[device] // vocabulary)
    for batch in token_budget_batches(lengths, TOKENS[device]):
        part: list[int] = []
        for i in map(int, batch):  # longest first
            kept = lengths[part[0] if part else i] - min(len(requests[j].context) for j in [*part, i]) + 1
            if part and (len(part) + 1) * kept > rows:
                yield part
                part = []
            part.append(i)
        yield part


def logits_of(network: Any, requests: Sequence[Request], device: str) -> tuple[Any, Places]:
    """The logits of one batch, and where each continuation stands in them."""
    import torch

    keeps = "logits_to_keep" in inspect.signature(network.forward).parameters
    fed = [(*r.context, *r.continuation[:-1]) for r in requests]
    ids, longest = padded(fed, device), max(map(len, fed))
    skipped = min(len(r.context) for r in requests) - 1 if keeps else 0
    keep = {"logits_to_keep": torch.arange(skipped, longest, device=device)} if keeps else {}
    with torch.inference_mode():
        logits = network(input_ids=ids, use_cache=False, **keep).logits
    places = Places.none()
    for row, r in enumerate(requests):
        start = row * (longest - skipped) + len(r.context) - 1 - skipped
        places.add(range(start, start + len(r.continuation)), r.continuation)
    return logits, places


def padded(sequences: Sequence[Sequence[int]], device: str) -> Any:
    """Token ids as one tensor, zeros on the right; what attends backwards only never sees them."""
    import torch

    ids: NDArray[np.int64] = np.zeros((len(sequences), max(map(len, sequences))), dtype=np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
    return torch.from_numpy(ids).to(device)
