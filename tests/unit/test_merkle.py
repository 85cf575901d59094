"""The tree hashes as RFC 6962 says: golden values of the certificate-transparency project, and properties."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.ledger import merkle

# certificate-transparency, merkletree/merkle_tree_test.cc: the inputs, and the roots of their first 1…8
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [merkle.leaf_hash(bytes.fromhex(text)) for text in INPUTS]

A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"

# (leaf from 1, size, path) and (old size, new size, proof), from the same file
PATHS = [
    (1, 1, []),
    (1, 8, [A, B, C]),
    (6, 8, [D, E, ROOTS[3]]),
    (3, 3, [ROOTS[1]]),
    (2, 5, [ROOTS[0], B, D]),
]
CONSISTENCY = [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [F, E, ROOTS[3]]), (2, 5, [B, D])]


def hexes(hashes: list[bytes]) -> list[str]:
    return [h.hex() for h in hashes]


def test_the_empty_tree_hashes_to_the_hash_of_nothing() -> None:
    assert merkle.root_hash([]) == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_equal_the_published_ones(size: int) -> None:
    assert merkle.root_hash(LEAVES[:size]).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("leaf", "size", "path"), PATHS)
def test_inclusion_proofs_equal_the_published_ones(leaf: int, size: int, path: list[str]) -> None:
    assert hexes(merkle.inclusion_proof(LEAVES[:size], leaf - 1)) == path


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_consistency_proofs_equal_the_published_ones(old: int, new: int, proof: list[str]) -> None:
    assert hexes(merkle.consistency_proof(LEAVES[:new], old)) == proof


trees = st.lists(st.binary(max_size=40), min_size=1, max_size=70).map(
    lambda d: [merkle.leaf_hash(x) for x in d]
)


@settings(deadline=None)
@given(trees, st.data())
def test_every_leaf_is_proved_to_be_in_its_tree_and_at_no_other_place(
    leaves: list[bytes], data: st.DataObject
) -> None:
    root = merkle.root_hash(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.inclusion_proof(leaves, index)
    assert merkle.root_from_inclusion(leaves[index], index, len(leaves), path) == root
    assert merkle.root_from_inclusion(merkle.leaf_hash(b"other" * 9), index, len(leaves), path) != root
    for wrong in ([*path, root], path[:-1] if path else [root]):
        with pytest.raises(ValueError, match="proof is too"):
            merkle.root_from_inclusion(leaves[index], index, len(leaves), wrong)
    if path:
        bent = [bytes([path[0][0] ^ 1]) + path[0][1:], *path[1:]]
        assert merkle.root_from_inclusion(leaves[index], index, len(leaves), bent) != root


@settings(deadline=None)
@given(trees, st.data())
def test_a_tree_that_only_grew_is_consistent_and_a_rewritten_one_is_not(
    leaves: list[bytes], data: st.DataObject
) -> None:
    new_size, new_root = len(leaves), merkle.root_hash(leaves)
    old_size = data.draw(st.integers(1, new_size))
    old_root = merkle.root_hash(leaves[:old_size])
    proof = merkle.consistency_proof(leaves, old_size)
    assert merkle.consistent(old_size, old_root, new_size, new_root, proof)
    assert not merkle.consistent(old_size, merkle.node_hash(old_root, old_root), new_size, new_root, proof)
    assert not merkle.consistent(old_size, old_root, new_size, merkle.node_hash(new_root, new_root), proof)
    assert not merkle.consistent(old_size, old_root, new_size, new_root, [*proof, old_root])
    if proof:
        assert not merkle.consistent(old_size, old_root, new_size, new_root, proof[:-1])


def test_sizes_that_never_were_are_refused() -> None:
    assert not merkle.consistent(0, ROOTS[0].encode(), 3, ROOTS[2].encode(), [])
    assert not merkle.consistent(4, b"", 3, b"", [])
    with pytest.raises(ValueError, match="never had the size"):
        merkle.consistency_proof(LEAVES, 9)
    with pytest.raises(ValueError, match="no leaf 8"):
        merkle.inclusion_proof(LEAVES, 8)
    with pytest.raises(ValueError, match="no leaf 3"):
        merkle.root_from_inclusion(LEAVES[0], 3, 3, [])
