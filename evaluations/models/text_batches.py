"""Texts to padded batches: tokenised once, sorted by length, padded only to the longest of their batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from evaluations.engine.batching import token_budget_batches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evaluations.models.protocol import Usage

# Padded tokens per forward pass: keeps activations of a base-size encoder well under 1 GB on a CPU.
TOKEN_BUDGET = {"cpu": 8192, "cuda": 65536}

# Of a network that reads each batch once. A larger one leaves a CPU's caches: MiniLM took 1.2 times as long over 8192
# tokens at a time where texts have 200, and 1.35 times where they have 20.
READ_AT_ONCE = {"cpu": 1024, "cuda": 65536}


def encode(tokenizer: Any, texts: Sequence[Any], longest: int, usage: Usage, **how: Any) -> Any:
    """Token ids of `texts` with special tokens, cut at `longest`. Counts queries, tokens and what was cut."""
    encoded = tokenizer(list(texts), add_special_tokens=True, **how)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    if max(lengths, default=0) > longest:
        usage.truncated += sum(n > longest for n in lengths)
        encoded = tokenizer(list(texts), add_special_tokens=True, truncation=True, max_length=longest, **how)
        lengths = [len(ids) for ids in encoded["input_ids"]]
    usage.queries += len(texts)
    usage.tokens += sum(lengths)
    return encoded


def encoded_ids(ids: Sequence[Sequence[int]], usage: Usage) -> dict[str, list[list[int]]]:
    """Sequences of ids, special tokens included, as `encode` would return them. Counts queries and tokens."""
    usage.queries += len(ids)
    usage.tokens += sum(map(len, ids))
    return {"input_ids": [list(one) for one in ids], "attention_mask": [[1] * len(one) for one in ids]}


def batches(
    tokenizer: Any, encoded: Any, device: str, tensors: str = "pt"
) -> Iterator[tuple[NDArray[np.int64], Any]]:
    """(rows, padded batch) until every row has come once; `tensors` is "pt" or "np"."""
    lengths = [len(ids) for ids in encoded["input_ids"]]
    for rows in token_budget_batches(lengths, READ_AT_ONCE[device]):
        held = {name: [values[i] for i in rows] for name, values in encoded.items()}
        yield rows, tokenizer.pad(held, return_tensors=tensors)
