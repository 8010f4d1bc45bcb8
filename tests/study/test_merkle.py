"""Merkle trees against the vectors of RFC 6962's reference implementation, and every proof of small trees."""

from __future__ import annotations

import hashlib

import pytest

from mpcstats.study.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# github.com/google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc
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
LEAVES = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]
INCLUSION = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (3, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (2, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): INCLUSION[1, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def test_known_roots() -> None:
    assert root_of([]) == hashlib.sha256(b"").digest()
    assert [root_of(LEAVES[:size]).hex() for size in range(1, 9)] == ROOTS


@pytest.mark.parametrize(("case", "proof"), INCLUSION.items())
def test_known_inclusion_proofs(case: tuple[int, int], proof: list[str]) -> None:
    number, size = case
    assert [part.hex() for part in inclusion_proof(LEAVES[:size], number - 1)] == proof


@pytest.mark.parametrize(("case", "proof"), CONSISTENCY.items())
def test_known_consistency_proofs(case: tuple[int, int], proof: list[str]) -> None:
    first, second = case
    assert [part.hex() for part in consistency_proof(LEAVES[:second], first)] == proof


def test_every_proof_holds_for_what_it_is_and_for_nothing_else() -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(17)]
    roots = [root_of(leaves[:size]) for size in range(18)]
    for size in range(1, 18):
        for index in range(size):
            proof = inclusion_proof(leaves[:size], index)
            assert verify_inclusion(leaves[index], index, size, proof, roots[size])
            assert not verify_inclusion(leaves[index], (index + 1) % 18, size, proof, roots[size]) or size == 1
            assert not verify_inclusion(leaves[index], index, size, proof, roots[size - 1])
            assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, roots[size])
            assert not verify_inclusion(leaves[index], index, size, [*proof, roots[1]], roots[size])
        for first in range(1, size + 1):
            proof = consistency_proof(leaves[:size], first)
            assert verify_consistency(first, size, roots[first], roots[size], proof)
            assert not verify_consistency(first, size, leaf_hash(b"other"), roots[size], proof)
            assert not verify_consistency(first, size, roots[first], leaf_hash(b"other"), proof)
            assert not verify_consistency(first, size, roots[first], roots[size], [*proof, roots[1]])
            if proof:
                assert not verify_consistency(first, size, roots[first], roots[size], proof[:-1])
                changed = [*proof[:-1], bytes([proof[-1][0] ^ 1]) + proof[-1][1:]]
                assert not verify_consistency(first, size, roots[first], roots[size], changed)


def test_impossible_sizes() -> None:
    assert not verify_consistency(0, 3, ROOTS[0].encode(), ROOTS[2].encode(), [])
    assert not verify_consistency(4, 3, ROOTS[0].encode(), ROOTS[2].encode(), [])
    assert not verify_inclusion(LEAVES[0], 3, 3, [], bytes.fromhex(ROOTS[2]))
    with pytest.raises(IndexError):
        inclusion_proof(LEAVES, 8)
    with pytest.raises(IndexError):
        consistency_proof(LEAVES, 0)
