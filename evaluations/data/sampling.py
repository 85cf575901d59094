"""Seeded samples that depend on example ids, not on the order of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluations.context import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray


def stratified_sample(
    ids: NDArray[np.str_], strata: NDArray[np.str_], size: int, seed: int
) -> NDArray[np.int64]:
    """Row numbers of `size` rows, shared over the strata in proportion (largest remainder), ascending by id.

    Within a stratum the rows with the smallest hash of (seed, id) are taken, so permuting
    the data set gives the same examples. Fewer rows than `size`: all of them.
    """
    if size >= len(ids):
        return np.argsort(ids, kind="stable")
    names, counts = np.unique(strata, return_counts=True)
    exact = counts * size / len(ids)
    quota = np.floor(exact).astype(int)
    spare = np.lexsort((names, -(exact - quota)))[: size - int(quota.sum())]
    quota[spare] += 1
    chosen: list[int] = []
    for name, count in zip(names, quota, strict=True):
        rows = np.flatnonzero(strata == name)
        ranked = sorted(rows, key=lambda row: derive_seed(seed, f"sample:{ids[row]}"))
        chosen += [int(row) for row in ranked[:count]]
    picked = np.array(chosen, dtype=np.int64)
    return picked[np.argsort(ids[picked], kind="stable")]
