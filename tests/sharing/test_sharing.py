"""Shamir, PRSS, boolean shares and fixed point, for all committees; share-compatible with MPyC."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mpcstats.errors import ConfigurationError, ProtocolError, RangeError
from mpcstats.field import M61, M127, PrimeField, import_mpyc, mpyc_field, small_field
from mpcstats.sharing import boolean, prss, shamir
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.sharing.fixedpoint import decode, encode, headroom_bits
from mpcstats.sharing.streams import KeyRing, Stream

COMMITTEES = [Committee(m, t) for m in range(3, 10) for t in range(1, (m - 1) // 2 + 1)]


def rings(committee: Committee) -> dict[int, KeyRing]:
    """Fixed keys for every party of a committee."""
    subset_keys = {A: bytes(A).ljust(32, b"s") for A in committee.subsets}
    return {
        i: KeyRing(
            committee,
            i,
            {A: subset_keys[A] for A in committee.subsets_of(i)},
            {j: bytes(sorted((i, j))).ljust(32, b"p") for j in committee.members if j != i},
        )
        for i in committee.members
    }


@pytest.mark.parametrize(("m", "t"), [(0, 0), (2, 1), (4, 2), (3, 0), (10, 4), (5, 3)])
def test_impossible_committees_are_refused(m: int, t: int) -> None:
    with pytest.raises(ConfigurationError, match="not possible"):
        Committee(m, t)


def test_default_thresholds() -> None:
    assert [default_threshold(m) for m in range(3, 10)] == [1, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize("field", [M61, M127, small_field(11)], ids=str)
@pytest.mark.parametrize("committee", [Committee(3, 1), Committee(5, 2), Committee(7, 3)], ids=str)
def test_any_large_enough_set_reconstructs_and_wrong_shares_are_seen(field: PrimeField, committee: Committee) -> None:
    secret = field.from_ints([0, 1, field.modulus - 1, field.modulus // 2])
    shares = shamir.deal_plain(field, committee, secret, Stream(b"k" * 32, "deal"))
    for points in itertools.combinations(committee.members, committee.t + 1):
        assert np.array_equal(shamir.reconstruct(field, {i: shares[i] for i in points}, committee.t), secret)
    assert shamir.consistent(field, shares, committee.t)
    for liars in itertools.combinations(committee.members, committee.m - committee.t - 1):
        forged = {i: field.add(s, field.constant(i)) if i in liars else s for i, s in shares.items()}
        # up to m - t - 1 wrong shares are detected, unless they lie on a polynomial of degree t by themselves
        difference = {i: field.constant(i if i in liars else 0) for i in committee.members}
        assert shamir.consistent(field, forged, committee.t) == shamir.consistent(field, difference, committee.t)
        opened = shamir.reconstruct_checked(field, forged, committee.t)
        assert (opened is not None) == shamir.consistent(field, forged, committee.t)
    assert np.array_equal(shamir.reconstruct_checked(field, shares, committee.t), secret)


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_compressed_deals_are_sharings_of_the_secret(committee: Committee) -> None:
    secret = M61.from_ints([7, 0, -3])
    for dealer in committee.members:
        ring = rings(committee)
        common = {j: ring[dealer].pair(dealer, j, "x") for j in committee.compressed(dealer)}
        dealt = shamir.deal_compressed(M61, committee, dealer, secret, common)
        shares = dealt | {j: M61.uniform(ring[j].pair(dealer, j, "x"), (3,)) for j in committee.compressed(dealer)}
        assert sorted(shares) == list(committee.members)
        assert shamir.consistent(M61, shares, committee.t)
        assert np.array_equal(shamir.reconstruct(M61, shares, committee.t), secret)


def test_no_single_party_holds_the_coins_of_a_deal() -> None:
    """Compression uses pairwise keys: with subset keys a third party would know t shares of every secret."""
    committee = Committee(5, 2)
    receivers = committee.compressed(1)
    assert len(receivers) == committee.t
    for j in committee.members:
        known = {r for r in receivers if j in (1, r)}
        assert j == 1 or len(known) <= 1


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_prss_gives_sharings_of_the_sum_and_of_zero(committee: Committee) -> None:
    ring = rings(committee)
    drawn = {i: prss.draw_uniform(M127, committee, i, ring[i], "r", (4,)) for i in committee.members}
    shares = {i: prss.combine(M127, committee, i, drawn[i]) for i in committee.members}
    total = M127.zeros((4,))
    for A in committee.subsets:
        total = M127.add(total, drawn[A[0]][A])
    assert shamir.consistent(M127, shares, committee.t)
    assert np.array_equal(shamir.reconstruct(M127, shares, committee.t), total)
    zero = {i: prss.zero_share(M127, committee, i, ring[i], "z", (4,)) for i in committee.members}
    assert shamir.consistent(M127, zero, 2 * committee.t)
    assert not shamir.reconstruct(M127, zero, 2 * committee.t).any()
    assert any(share.any() for share in zero.values())


def test_bounded_masks_stay_below_their_bound() -> None:
    committee = Committee(3, 1)
    ring = rings(committee)[1]
    for bits in (5, 63, 64, 65, 100):
        drawn = prss.draw_bounded(M127, committee, 1, ring, f"b{bits}", (2000,), bits)
        largest = max(int(M127.to_ints(a).max()) for a in drawn.values())
        assert 1 << (bits - 3) < largest < 1 << bits


def test_a_stream_is_used_once() -> None:
    ring = rings(Committee(3, 1))[1]
    ring.subset((1, 2), "mask")
    with pytest.raises(ProtocolError, match="twice"):
        ring.subset((1, 2), "mask")


def test_streams_differ_by_label_and_key() -> None:
    first = Stream(b"k" * 32, "a").words(8)
    assert np.array_equal(first, Stream(b"k" * 32, "a").words(8))
    assert not np.array_equal(first, Stream(b"k" * 32, "b").words(8))
    assert not np.array_equal(first, Stream(b"l" * 32, "a").words(8))


@pytest.mark.parametrize("committee", [Committee(3, 1), Committee(4, 1), Committee(5, 2), Committee(7, 3)], ids=str)
def test_boolean_shares_of_dealt_bits_xor_to_the_bits(committee: Committee) -> None:
    secret = Stream(b"x" * 32, "bits").words(10).reshape(2, 5)
    for dealer in committee.members:
        ring = rings(committee)
        own, correction = boolean.deal_bits(committee, dealer, secret, ring[dealer], "l")
        special = committee.correction_subset(dealer)
        held = {dealer: own} | {
            j: boolean.receive_bits(
                committee, dealer, j, secret.shape, correction if j in special else None, ring[j], "l"
            )
            for j in committee.members
            if j != dealer
        }
        total = np.zeros_like(secret)
        for A in committee.subsets:
            copies = [held[i][committee.subsets_of(i).index(A)] for i in A]
            assert all(np.array_equal(copy, copies[0]) for copy in copies)
            total ^= copies[0]
        assert np.array_equal(total, secret)


@pytest.mark.parametrize("field", [M61, M127, small_field(31)], ids=str)
def test_packing_bits_and_back(field: PrimeField) -> None:
    values = [0, 1, field.modulus - 1, field.modulus // 3] * 20
    planes = boolean.unpack(boolean.pack(field, field.from_ints(values)), len(values))
    assert planes.shape == (field.bits, len(values))
    assert [sum(int(b) << k for k, b in enumerate(column)) for column in planes.T] == values


def test_fixed_point_is_exact_on_doubles_that_fit() -> None:
    x = np.array([0.0, 1.5, -2.25, 0.1, -1e-9, 2.0**40 + 2.0**-12, -(2.0**62)])
    for fraction in (0, 20, 52, 60):
        encoded = [int(v) for v in M127.to_signed(encode(M127, x, fraction, 64))]
        for real, integer in zip(x, encoded, strict=True):
            numerator, denominator = float(real).as_integer_ratio()
            assert abs(integer * denominator - numerator * 2**fraction) * 2 <= denominator
        assert np.allclose(decode(M127, encode(M127, x, fraction, 64), fraction), x, rtol=0, atol=2.0**-fraction)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 8.0, -8.0])
def test_numbers_outside_the_promise_are_refused_without_being_named(bad: float) -> None:
    with pytest.raises(RangeError) as caught:
        encode(M127, np.array([1.0, bad]), 40, 3)
    assert str(bad) not in str(caught.value)


def test_headroom_is_that_of_the_design() -> None:
    # integer bits + 2 * fraction bits + 1
    assert [headroom_bits(M127, len(Committee(m, (m - 1) // 2).subsets), 40) for m in (3, 5, 7, 9)] == [85, 83, 81, 80]
    assert headroom_bits(M127, 3, 64) == 61


@pytest.mark.parametrize(("m", "t"), [(3, 1), (5, 2)])
def test_shares_are_those_of_mpyc(m: int, t: int) -> None:
    """Same field, same points: MPyC recombines our shares, and we MPyC's."""
    committee = Committee(m, t)
    thresha, theirs = import_mpyc("mpyc.thresha"), mpyc_field(M61)
    secret = [0, 5, M61.modulus - 1, 2**60 + 7]
    ours = shamir.deal_plain(M61, committee, M61.from_ints(secret), Stream(b"k" * 32, "mpyc"))
    points = [(i, [theirs(int(v)) for v in ours[i]]) for i in range(1, t + 2)]
    assert [int(v) % M61.modulus for v in thresha.recombine(theirs, points)] == secret
    split = thresha.random_split(theirs, [theirs(v) for v in secret], t, m)
    shares = {i: M61.from_ints([int(v) for v in split[i - 1]]) for i in committee.members}
    assert M61.to_ints(shamir.reconstruct(M61, shares, t)).tolist() == secret
