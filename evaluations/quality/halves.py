"""Halves of a data set that depend on the seed and the example ids alone, not on the order of the rows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def uniforms(names: NDArray[np.str_], seed: int, use: str) -> NDArray[np.float64]:
    """A number in [0, 1) per name, from a digest of (seed, use, name): much cheaper than a generator each."""
    start = hashlib.sha256(f"{seed}:{use}:".encode())
    digests = bytearray()
    for name in names.tolist():
        digest = start.copy()
        digest.update(name.encode("utf-8", "surrogatepass"))
        digests += digest.digest()[:8]
    return np.asarray((np.frombuffer(bytes(digests), dtype="<u8") >> np.uint64(11)) * 2.0**-53)


def first_half(names: NDArray[np.str_], seed: int, use: str) -> NDArray[np.bool_]:
    """Which rows are in the first half. Rows with the same name (a cluster) stay together."""
    distinct, index = np.unique(names, return_inverse=True)
    rank = np.argsort(np.argsort(uniforms(distinct, seed, use), kind="stable"), kind="stable")
    return np.asarray((rank < len(distinct) // 2)[index])
