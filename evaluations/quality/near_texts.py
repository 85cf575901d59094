"""Texts that are nearly the same: most of their runs of three words are shared. MinHash finds them, sets confirm."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RUN = 3  # words
ALIKE = 0.8  # Jaccard similarity of the sets of runs
BANDS, ROWS = 16, 4  # at a similarity of .8 two texts share a band with probability .9998
CHUNK = 1 << 16  # runs hashed at once


def groups(texts: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """A number per text (its words), equal where texts are alike, or are linked by others that are.

    Broder 1997, Compression and Complexity of Sequences; bands: Leskovec, Rajaraman & Ullman 2020, ch. 3.
    """
    runs = [_runs(words) for words in texts]
    leader = list(range(len(texts)))

    def first_of(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    long = np.array([i for i, held in enumerate(runs) if len(held) > 1], dtype=np.int64)
    if len(long):
        signatures = _signatures([runs[i] for i in long])
        sets = {int(i): set(runs[i].tolist()) for i in long}
        for band in range(BANDS):
            keys = signatures[:, band * ROWS : (band + 1) * ROWS]
            _, bucket = np.unique(keys, axis=0, return_inverse=True)
            order = np.argsort(bucket, kind="stable")
            for a, b in itertools.pairwise(order):  # neighbours in a bucket
                one, two = int(long[a]), int(long[b])
                if bucket[a] == bucket[b] and first_of(one) != first_of(two):
                    shared = len(sets[one] & sets[two])
                    if shared >= ALIKE * (len(sets[one]) + len(sets[two]) - shared):
                        leader[first_of(two)] = first_of(one)
    return np.array([first_of(i) for i in range(len(texts))], dtype=np.int64)


def _runs(words: Sequence[str]) -> NDArray[np.uint64]:
    """Distinct digests of each RUN consecutive words; one for a shorter text."""
    pieces = {" ".join(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1))}
    digests = [
        hashlib.blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=4).digest() for piece in pieces
    ]
    return np.unique(np.frombuffer(b"".join(digests), dtype="<u4")).astype(np.uint64)


def _signatures(runs: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """(texts, BANDS·ROWS) smallest values of that many hashes over each text's runs.

    Multiply–shift of 32-bit digests, (a·x + b mod 2⁶⁴) with the high bits deciding (Dietzfelbinger 1996, STACS).
    """
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 1 << 64, (2, BANDS * ROWS), dtype=np.uint64)
    found: NDArray[np.uint64] = np.empty((len(runs), BANDS * ROWS), dtype=np.uint64)
    start = 0
    while start < len(runs):
        stop, size = start, 0
        while stop < len(runs) and (stop == start or size + len(runs[stop]) <= CHUNK):
            size += len(runs[stop])
            stop += 1
        every = np.concatenate(runs[start:stop])
        starts = np.cumsum([0, *(len(r) for r in runs[start : stop - 1])])
        for k in range(BANDS * ROWS):
            found[start:stop, k] = np.minimum.reduceat((every * a[k] + b[k]) >> np.uint64(32), starts)
        start = stop
    return found
