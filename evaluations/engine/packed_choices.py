"""All continuations of a context behind it in one row, kept apart by the attention mask and position ids.

The context runs first, without its last token and without what only a prediction needs: the head, and
the last layer after its keys and values. Then its last token and all continuations run against them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import Cache, DynamicLayer

from evaluations.engine.batching import token_budget_batches
from evaluations.engine.continuations import Places, Scored, padded, read

# Tokens held at once, contexts included, and tokens of continuations in one pass.
HELD = {"cpu": 4096, "cuda": 65536}
CONTEXTS = {"cpu": 1024, "cuda": 32768}  # tokens of contexts in one pass
PASSED = {"cpu": 256, "cuda": 4096}
# Fields of a configuration that tell of attention over less than everything before, or biased by distance.
NARROWING = ("sliding_window", "attention_chunk_size", "window_size", "alibi")


@dataclass(frozen=True)
class Group:
    """One context and at least one continuation, in tokens."""

    context: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]

    @property
    def width(self) -> int:
        """Tokens that run behind the context: its last one, and each continuation without its last."""
        return 1 + sum(len(c) - 1 for c in self.continuations)


def sees_everything(config: Any) -> bool:
    """Whether every layer attends to all that came before, so that a mask of ours may stand for its own."""
    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ()) | set(getattr(text, "attention_layers", None) or ())
    return kinds <= {"full_attention", "global"} and not any(getattr(text, name, None) for name in NARROWING)


def score(network: Any, groups: Sequence[Group], device: str) -> list[list[Scored]]:
    """Scores of every continuation of every group, in order."""
    packs = [(number, pack) for number, group in enumerate(groups) for pack in _packs(group, device)]
    found: dict[int, list[Scored]] = {}
    for batch in _batches([pack for _, pack in packs], device):
        for i, scores in zip(batch, _batch(network, [packs[i][1] for i in batch], device), strict=True):
            found[i] = scores
    joined: list[list[Scored]] = [[] for _ in groups]
    for i, (number, _) in enumerate(packs):
        joined[number] += found[i]
    return joined


def _packs(group: Group, device: str) -> Iterator[Group]:
    """The group, cut where its continuations would take more room than a pass has and its context needs."""
    room = max(PASSED[device], len(group.context))
    held: list[tuple[int, ...]] = []
    width = 1
    for continuation in group.continuations:
        if held and width + len(continuation) - 1 > room:
            yield Group(group.context, tuple(held))
            held, width = [], 1
        held.append(continuation)
        width += len(continuation) - 1
    yield Group(group.context, tuple(held))


def _batches(packs: Sequence[Group], device: str) -> Iterator[list[int]]:
    """Packs of like length, longest first, within what may be held and passed at once."""
    batch: list[int] = []
    longest = width = 0
    for i in sorted(range(len(packs)), key=lambda i: -len(packs[i].context)):
        longest, width = max(longest, len(packs[i].context)), max(width, packs[i].width)
        n = len(batch) + 1
        if batch and (n * (longest + width) > HELD[device] or n * width > PASSED[device]):
            yield batch
            batch, longest, width = [], len(packs[i].context), packs[i].width
        batch.append(i)
    if batch:
        yield batch


def _batch(network: Any, packs: Sequence[Group], device: str) -> list[list[Scored]]:
    before = [len(pack.context) - 1 for pack in packs]
    fed, positions, allowed, places = [], [], [], Places.none()
    longest, width = max(before), max(pack.width for pack in packs)
    for row, pack in enumerate(packs):
        ids, where, parents = _laid_out(pack, row * width, places)
        fed.append(ids)
        positions.append(where)
        allowed.append(parents)
    cache = SharedContexts(network.config.get_text_config().num_hidden_layers, before, width)
    mask = _mask(before, allowed, longest, width)
    with torch.inference_mode():
        _read_contexts(network, packs, cache, device)
        logits = network(
            input_ids=padded(fed, device),
            position_ids=padded(positions, device),
            attention_mask=torch.from_numpy(mask).to(device),
            past_key_values=cache.after_contexts(),
            use_cache=True,
        ).logits
    scores = iter(read(logits, places))
    return [[next(scores) for _ in pack.continuations] for pack in packs]


def _laid_out(pack: Group, start: int, places: Places) -> tuple[list[int], list[int], list[int]]:
    """Token ids behind the context, their positions, and the index of the token before each (-1 for the first)."""
    ids, positions, parents = [pack.context[-1]], [len(pack.context) - 1], [-1]
    for continuation in pack.continuations:
        first = len(ids)
        ids += continuation[:-1]
        positions += range(len(pack.context), len(pack.context) + len(continuation) - 1)
        parents += [0, *range(first, len(ids) - 1)][: len(continuation) - 1]
        places.add([start, *range(start + first, start + len(ids))], continuation)
    return ids, positions, parents


def _mask(before: Sequence[int], parents: Sequence[Sequence[int]], longest: int, width: int) -> Any:
    """Additive mask (batch, 1, width, longest + width): the context, what a token follows, and itself."""
    seen: NDArray[np.bool_] = np.zeros((len(before), 1, width, longest + width), dtype=bool)
    for row, (n, chain) in enumerate(zip(before, parents, strict=True)):
        own: NDArray[np.bool_] = np.zeros((width, width), dtype=bool)
        own[:, 0] = True  # also where there is only padding: a softmax over nothing is no number
        for i, parent in enumerate(chain):
            if parent >= 0:
                own[i] = own[parent]
            own[i, i] = True
        seen[row, 0, :, :n] = True
        seen[row, 0, :, longest:] = own
    return np.where(seen, np.float32(0), np.finfo(np.float32).min)


def _read_contexts(network: Any, packs: Sequence[Group], cache: SharedContexts, device: str) -> None:
    """Fills the cache with all contexts but their last tokens."""
    fed = [pack.context[:-1] for pack in packs]
    lengths = [len(context) for context in fed]  # longest first, as packs are
    for batch in token_budget_batches(lengths, CONTEXTS[device]):
        rows = slice(int(batch[0]), int(batch[-1]) + 1)
        if lengths[rows.start]:
            try:
                network.base_model(
                    input_ids=padded(fed[rows], device),
                    past_key_values=cache.for_contexts(rows),
                    use_cache=True,
                )
            except Filled:
                continue


class Filled(Exception):  # no error: it ends a pass whose rest nobody reads
    """The last layer's keys and values of the contexts are there."""


class SharedContexts(Cache):  # type: ignore[misc]  # transformers is untyped
    """Keys and values of contexts of unlike lengths, with room for what follows behind the longest.

    A pass over contexts ends as soon as the last layer's keys and values are known.
    """

    def __init__(self, layers: int, before: Sequence[int], width: int) -> None:
        self.before, self.longest = before, max(before)
        self.room = self.longest + width
        self.filling: slice | None = None  # rows whose contexts are being read
        super().__init__(layers=[_Layer(self, last=i == layers - 1) for i in range(layers)])

    def for_contexts(self, rows: slice) -> SharedContexts:
        self.filling = rows
        return self

    def after_contexts(self) -> SharedContexts:
        self.filling = None
        return self


class _Layer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped
    def __init__(self, owner: SharedContexts, last: bool) -> None:
        super().__init__()
        self.owner, self.last = owner, last

    def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
        _, heads, _, width = key_states.shape
        shape = (len(self.owner.before), heads, self.owner.room)
        self.keys = key_states.new_empty(*shape, width)
        self.values = value_states.new_empty(*shape, value_states.shape[-1])
        for held in (self.keys, self.values):  # what nobody fills is masked, yet must be a number
            for row, n in enumerate(self.owner.before):
                held[row, :, n : self.owner.longest] = 0
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *args: Any, **more: Any) -> tuple[Any, Any]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.owner.filling is None:
            self.keys[:, :, self.owner.longest :] = key_states
            self.values[:, :, self.owner.longest :] = value_states
            return self.keys, self.values
        n = key_states.shape[2]
        self.keys[self.owner.filling, :, :n] = key_states
        self.values[self.owner.filling, :, :n] = value_states
        if self.last:
            raise Filled
        return key_states, value_states

    def get_seq_length(self) -> int:
        return self.owner.longest if self.owner.filling is None else 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0
