"""The Merkle tree of RFC 6962, section 2: hashes, roots, inclusion and consistency proofs. Pure.

Hashes are 32 raw bytes. A tree is given by its leaf hashes in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data). The ledger's `data` is the 32-byte SHA-256 of the canonical JSON it records."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """The head of the tree over these leaf hashes; SHA-256 of nothing for the empty tree (RFC 6962, 2.1)."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:  # pairing neighbours and carrying an odd last one gives the RFC's tree
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = [*paired, level[-1]] if len(level) % 2 else paired
    return level[0]


def _split(size: int) -> int:
    """The largest power of two smaller than `size` (≥ 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index` (RFC 6962, 2.1.1), from the leaf's sibling up to the root's child."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"there is no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*inclusion_proof(leaves[:k], index), root_hash(leaves[k:])]
    return [*inclusion_proof(leaves[k:], index - k), root_hash(leaves[:k])]


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """That the tree over `leaves[:old_size]` is a prefix of this one (RFC 6962, 2.1.2)."""
    if not 0 < old_size <= len(leaves):
        raise ValueError(f"a tree of {len(leaves)} never had the size {old_size}")
    return _subproof(old_size, leaves, known=True)


def _subproof(old_size: int, leaves: Sequence[bytes], *, known: bool) -> list[bytes]:
    if old_size == len(leaves):
        return [] if known else [root_hash(leaves)]
    k = _split(len(leaves))
    if old_size <= k:
        return [*_subproof(old_size, leaves[:k], known=known), root_hash(leaves[k:])]
    return [*_subproof(old_size - k, leaves[k:], known=False), root_hash(leaves[:k])]


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2); ValueError where its length is impossible.

    The leaf is included in a tree of `size` with a known root if and only if the two are equal.
    """
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    node, last, hashed = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ValueError("the inclusion proof is too long for the tree")
        if node % 2 or node == last:
            hashed = node_hash(sibling, hashed)
            while node % 2 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            hashed = node_hash(hashed, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ValueError("the inclusion proof is too short for the tree")
    return hashed


def consistent(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the proof shows the old tree to be a prefix of the new one (RFC 9162, 2.1.4.2)."""
    if not 0 < old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    hashes = list(proof)
    if old_size & (old_size - 1) == 0:  # a complete subtree: its root is known and not in the proof
        hashes.insert(0, old_root)
    if not hashes:
        return False
    node, last = old_size - 1, new_size - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if node % 2 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while node % 2 == 0 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root
