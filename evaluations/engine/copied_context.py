"""The cache of a context, copied once per continuation: for what a packed row cannot express."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.engine.continuations import TOKENS, Places, Scored, padded, read
from evaluations.engine.packed_choices import Group

CACHES = ("past_key_values", "cache_params")  # what architectures call it


def score(network: Any, groups: Sequence[Group], device: str) -> list[list[Scored]]:
    """Scores of every continuation of every group, in order; one group at a time, so nothing pads its context."""
    return [_group(network, group, device) for group in groups]


def _group(network: Any, group: Group, device: str) -> list[Scored]:
    """Continuations in portions, each against a copy of its own of what the network keeps of the context."""
    longest = max(map(len, group.continuations))
    rows = max(1, TOKENS[device] // (len(group.context) + longest))
    found = []
    for start in range(0, len(group.continuations), rows):
        found += _portion(network, group.context, group.continuations[start : start + rows], device)
    return found


def _portion(
    network: Any, context: tuple[int, ...], continuations: Sequence[tuple[int, ...]], device: str
) -> list[Scored]:
    import torch

    fed = [(context[-1], *c[:-1]) for c in continuations]
    width = max(map(len, fed))
    kept: dict[str, Any] = {}
    with torch.inference_mode():
        if len(context) > 1:
            given = network.base_model(input_ids=padded([context[:-1]], device), use_cache=True)
            name = next(name for name in CACHES if getattr(given, name, None) is not None)
            kept[name] = getattr(given, name)
            kept[name].reorder_cache(torch.zeros(len(fed), dtype=torch.long, device=device))
        logits = network(input_ids=padded(fed, device), use_cache=True, **kept).logits
    places = Places.none()
    for row, continuation in enumerate(continuations):
        places.add(range(row * width, row * width + len(continuation)), continuation)
    return read(logits, places)
