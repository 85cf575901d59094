"""Log-likelihoods of several continuations of one context, which is read once.

Three ways, the fastest that a network supports is taken:
packed: the context fills a cache; all its continuations stand behind it in one row, kept apart by the mask.
copied: the cache of the context is copied, one row per continuation (sliding windows, ALiBi, state space models).
plain:  every continuation with its whole context in a row of its own.
The first two are taken only where they agree with the third on a probe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evaluations.engine import continuations, copied_context, packed_choices
from evaluations.engine.continuations import Request, Scored
from evaluations.engine.packed_choices import Group

TOLERANCE = 1e-4  # of a log-likelihood of a few tokens
PROBE = ((21, (1, 3, 6)), (9, (4, 1, 2)), (1, (2, 5)))  # tokens of a context and of its continuations
PROBED = max(n + max(lengths) for n, lengths in PROBE)  # positions

Way = Callable[[Any, Sequence[Group], str], list[list[Scored]]]
# What a network raises that does not know custom masks, positions or our cache.
NOT_SUPPORTED = (
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    StopIteration,
    AssertionError,
)


class Scorer:
    """Scores requests with one network. Which way it goes is found at the first shared context."""

    def __init__(self, network: Any, device: str) -> None:
        self.network, self.device = network, device
        self._way: Way | None = None

    @property
    def way(self) -> Way:
        if self._way is None:
            self._way = fastest(self.network, self.device)
        return self._way

    def __call__(self, requests: Sequence[Request]) -> list[Scored]:
        """ln p(continuation | context) per request, in order; equal requests are scored once."""
        groups: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
        for r in requests:
            groups.setdefault(r.context, {})[r.continuation] = None
        alone = [Request(c, next(iter(held))) for c, held in groups.items() if len(held) == 1]
        shared = [Group(c, tuple(held)) for c, held in groups.items() if len(held) > 1]
        known = dict(zip(alone, continuations.score(self.network, alone, self.device), strict=True))
        for group, scores in zip(
            shared, self.way(self.network, shared, self.device) if shared else (), strict=True
        ):
            known.update(
                {Request(group.context, c): s for c, s in zip(group.continuations, scores, strict=True)}
            )
        return [known[r] for r in requests]


def plain(network: Any, groups: Sequence[Group], device: str) -> list[list[Scored]]:
    """Every continuation with its whole context in a row of its own."""
    requests = [Request(g.context, c) for g in groups for c in g.continuations]
    scores = iter(continuations.score(network, requests, device))
    return [[next(scores) for _ in g.continuations] for g in groups]


def fastest(network: Any, device: str) -> Way:
    """The fastest way that gives this network's own log-likelihoods."""
    text = network.config.get_text_config()
    if not steady(text):
        return plain
    rng = np.random.default_rng(0)
    vocabulary = text.vocab_size
    groups = [
        Group(
            tuple(rng.integers(0, vocabulary, n).tolist()),
            tuple(tuple(rng.integers(0, vocabulary, k).tolist()) for k in lengths),
        )
        for n, lengths in PROBE
    ]
    expected = plain(network, groups, device)
    ways: list[Way] = [copied_context.score]
    if packed_choices.sees_everything(network.config):
        ways.insert(0, packed_choices.score)
    for way in ways:
        try:
            found = way(network, groups, device)
        except NOT_SUPPORTED:
            continue
        if _same(found, expected):
            return way
    return plain


def steady(config: Any) -> bool:
    """Whether what is kept of a context is the same whatever follows, and the network reads enough for a probe.

    Some rotary embeddings change once a text is longer than those it was trained on.
    """
    positions = getattr(config, "max_position_embeddings", None) or 2**31
    rotary = str([getattr(config, name, None) for name in ("rope_parameters", "rope_scaling")])
    return positions >= PROBED and "dynamic" not in rotary and "longrope" not in rotary


def _same(found: list[list[Scored]], expected: list[list[Scored]]) -> bool:
    return all(
        abs(a.logprob - b.logprob) <= TOLERANCE
        for mine, theirs in zip(found, expected, strict=True)
        for a, b in zip(mine, theirs, strict=True)
    )
