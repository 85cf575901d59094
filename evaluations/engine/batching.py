"""Groups token sequences into batches that waste little padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def token_budget_batches(lengths: Sequence[int], budget: int) -> Iterator[NDArray[np.int64]]:
    """Indices of sequences, longest first, so that rows × longest ≤ `budget` in each batch.

    Every index comes exactly once; a sequence longer than the budget gets a batch of its own.
    The longest come first so that a batch that does not fit into memory fails at once.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        stop = start + max(1, budget // longest)
        yield order[start:stop]
        start = stop
