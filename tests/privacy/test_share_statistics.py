"""Shares at production size look uniform, whatever the secret is.

These are sanity checks of randomness in the real fields: bytes, single bits, runs, neighbours, repetitions, and
correlation with the secret. They see a stuck bit, a biased coin or a stream that starts again, where few coins are
added up; a bias of one in 2^61 only the exhaustive tests in small fields can see. Keys are fresh in every run: with
some 10^4 p-values against 10^-9, a good build fails once in 10^5 runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from mpcstats.field import M61, M127, Elements, PrimeField
from mpcstats.protocols import deal, is_negative, multiply, random_bits
from mpcstats.protocols.boolean import bit_and, deal_planes, to_arithmetic
from mpcstats.runtime import BooleanShared, Session, Shared
from mpcstats.sharing import prss
from mpcstats.sharing.boolean import lanes
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties
from tests.sharing.test_sharing import rings

THREE, FIVE = Committee(3, 1), Committee(5, 2)
LIMIT = 1e-9
COUNTS = pytest.mark.parametrize("count", [30_000, pytest.param(10**6, marks=pytest.mark.long)])
"""Shares per array; production size in the long suite."""

Words = NDArray[np.uint64]
FIELDS = pytest.mark.parametrize("field", [M61, M127], ids=str)


# --- tests of uniformity --------------------------------------------------------------------------------------------


def p_values(words: Words, bits: int) -> Iterator[tuple[str, float]]:
    """Tests of numbers that should be uniform below 2^bits and independent: what was tested, p-value."""
    count, changes = len(words), words[1:] ^ words[:-1]
    for low in range(0, bits, 8):
        width = min(8, bits - low)
        seen, changed = (_bytes(series, low, width) for series in (words, changes))
        yield f"values of bits {low} to {low + width - 1}", float(stats.chisquare(seen).pvalue)
        for bit in range(width):
            has = np.arange(1 << width) >> bit & 1 == 1
            yield f"ones of bit {low + bit}", _fair(int(seen[has].sum()), count)
            yield f"runs of bit {low + bit}", _fair(int(changed[has].sum()), count - 1)
    scaled = words.astype(np.float64) / 2.0**bits - 0.5
    for lag in (1, 2, 64):
        yield f"neighbours at distance {lag}", _uncorrelated(scaled[:-lag], scaled[lag:])


def _bytes(words: Words, low: int, width: int) -> NDArray[np.intp]:
    return np.bincount((words >> np.uint64(low)).astype(np.uint8) & ((1 << width) - 1), minlength=1 << width)


def _fair(ones: int, count: int) -> float:
    """Two-sided p-value of the number of heads of a fair coin."""
    return float(2 * stats.norm.sf(abs(ones - count / 2) / np.sqrt(count / 4)))


def _uncorrelated(x: NDArray[Any], y: NDArray[Any]) -> float:
    spread = float(np.std(x) * np.std(y))
    if not spread:
        return 0.0  # a constant is not random at all
    return float(2 * stats.norm.sf(abs(float(np.mean(x * y) - x.mean() * y.mean())) / spread * np.sqrt(len(x))))


def limbs(field: PrimeField, a: Elements) -> list[tuple[Words, int]]:
    """An element array as words, with the bits that each has."""
    flat = a.reshape(-1, field.limbs)
    return [(flat[:, k], min(64, field.bits - 64 * k)) for k in range(field.limbs)]


def findings(parts: list[tuple[Words, int]], secret: NDArray[Any] | None = None) -> list[str]:
    """What is suspicious about an array of shares, given as words; the secret's own shape must not shine through."""
    found = [f"{what}: p = {p:.1e}" for words, bits in parts for what, p in p_values(words, bits) if p < LIMIT]
    words, bits = parts[0]
    repeated = int((np.diff(np.sort(words)) == 0).sum())
    # a single equal pair among 10^6 words of 61 bits has a chance of 2 in 10^7, two have none
    if bits > 60 and repeated > 1:
        found.append(f"{repeated} repeated shares")
    if secret is not None and np.std(secret) > 0:
        p = _uncorrelated(parts[-1][0].astype(np.float64), secret.astype(np.float64))
        found += [f"correlation with the secret: p = {p:.1e}"] if p < LIMIT else []
    return found


def secrets_of(field: PrimeField, count: int) -> dict[str, tuple[Elements, NDArray[Any]]]:
    """Constant and extreme secrets, and their rough size for correlation."""
    sign = np.where(np.arange(count) % 2, 1, -1)
    largest = np.broadcast_to(field.constant(field.modulus // 2), field.zeros((count,)).shape)
    swing = np.where(sign.reshape(-1, *[1] * (field.limbs - 1)) > 0, largest, field.neg(np.ascontiguousarray(largest)))
    return {
        "zero": (field.zeros((count,)), np.zeros(count)),
        "minus one": (field.neg(field.from_int64(np.ones(count, np.int64))), np.zeros(count)),
        "largest, both signs in turn": (swing, sign),
        "counting up": (field.from_int64(np.arange(count)), np.arange(count)),
    }


async def dealt(session: Session, field: PrimeField, secret: Elements) -> Shared:
    own = secret if session.index == 1 else None
    return (await deal(session, field, own, (1,), field.shape(secret)))[1]


# --- shares -----------------------------------------------------------------------------------------------------------

KINDS = ["zero", "largest, both signs in turn"]
LONG_KINDS = [pytest.param(k, marks=pytest.mark.long) for k in ("minus one", "counting up")]


@COUNTS
@FIELDS
@pytest.mark.parametrize("kind", [*KINDS, *LONG_KINDS])
def test_dealt_shares_and_shares_of_products(field: PrimeField, kind: str, count: int) -> None:
    """Every party's shares of dealt secrets; and of their squares, which are dealt anew."""
    secret, size = secrets_of(field, count)[kind]

    async def program(session: Session) -> list[str]:
        x = await dealt(session, field, secret)
        product = await multiply(session, x, x)
        return [*findings(limbs(field, x.values), size), *findings(limbs(field, product.values), size)]

    assert run_parties(THREE, program) == [[]] * 3


@pytest.mark.long
@FIELDS
@pytest.mark.parametrize("kind", KINDS)
def test_pairs_of_shares_of_five_parties(field: PrimeField, kind: str) -> None:
    """Two of five parties together: their shares are uniform on the square."""
    secret, size = secrets_of(field, 10**6)[kind]

    async def program(session: Session) -> list[tuple[Words, list[str]]]:
        x = await dealt(session, field, secret)
        product = await multiply(session, x, x)
        parts = [limbs(field, a.values) for a in (x, product)]
        return [(part[-1][0] >> np.uint64(part[-1][1] - 5), findings(part, size)) for part in parts]

    for of_value in zip(*run_parties(FIVE, program), strict=True):
        assert all(found == [] for _, found in of_value)
        for i in range(5):
            for j in range(i):
                joint = np.bincount((32 * of_value[i][0] + of_value[j][0]).astype(np.intp), minlength=1024)
                assert stats.chisquare(joint).pvalue > LIMIT


@COUNTS
@FIELDS
def test_shared_masks_and_sharings_of_zero(field: PrimeField, count: int) -> None:
    """What comes from common keys: uniform masks, sharings of zero, and the parts of bounded masks."""
    width = field.bits - 7

    async def program(session: Session) -> list[str]:
        coins, me = session.randomness, session.index
        parts = prss.draw_uniform(field, THREE, me, coins, session.label("a"), (count,))
        zero = prss.zero_share(field, THREE, me, coins, session.label("b"), (count,))
        bounded = prss.draw_bounded(field, THREE, me, coins, session.label("c"), (count,), width)
        found = [text for a in (prss.combine(field, THREE, me, parts), zero) for text in findings(limbs(field, a))]
        for a in bounded.values():
            found += findings([(words, min(64, width - 64 * k)) for k, (words, _) in enumerate(limbs(field, a))])
        return found

    assert run_parties(THREE, program) == [[]] * 3


@COUNTS
@pytest.mark.parametrize("committee", [THREE, pytest.param(FIVE, marks=pytest.mark.long)], ids=str)
def test_shares_of_bits(committee: Committee, count: int) -> None:
    """Packed shares of constant bits, of their AND, of the same bits as field elements, and of random bits."""
    shape = (8, lanes(count))

    async def program(session: Session) -> list[str]:
        found: list[str] = []
        for constant in (0, 2**64 - 1):
            own = np.full(shape, constant, np.uint64) if session.index == 1 else None
            bits = (await deal_planes(session, own, (1,), shape, count))[1]
            both = await bit_and(session, bits, bits)
            # subsets without the dealer hold zeros of a dealt bit, and random shares of a product
            rows = [row for A, row in zip(committee.subsets_of(session.index), bits.words, strict=True) if 1 in A]
            found += [text for row in (*rows, *both.words) for text in findings([(row.ravel(), 64)])]
            element = await to_arithmetic(session, BooleanShared(both.words[:, :1], count), M61)
            found += findings(limbs(M61, element.values))
        return found + findings(limbs(M61, (await random_bits(session, M61, (count,))).values))

    assert run_parties(committee, program) == [[]] * committee.m


@pytest.mark.parametrize("secret", [0, 2**59, pytest.param(-1, marks=pytest.mark.long)])
def test_messages_of_a_comparison(secret: int) -> None:
    """Everything that any party receives during comparisons of one and the same number."""
    count, seen = 20_000, []

    async def program(session: Session) -> None:
        await is_negative(session, await dealt(session, M61, M61.from_int64(np.full(count, secret))))

    run_parties(THREE, program, observe=seen.append)
    assert len(seen) > 30
    for message in seen:
        words = np.frombuffer(message.payload, "<u8")
        # packed bits, or elements of 61 bits
        bits = 64 if words.max() >= M61.modulus else 61
        assert findings([(words, bits)]) == [], (message.step, message.sender)


# --- planted bugs ---------------------------------------------------------------------------------------------------


class _Flawed:
    """A party's streams, spoiled on the way out."""

    def __init__(self, ring: Any, spoil: Callable[[Words], Words]) -> None:
        self._ring, self._spoil = ring, spoil

    def __getattr__(self, name: str) -> Any:
        def draw(*arguments: Any) -> Any:
            return _FlawedStream(getattr(self._ring, name)(*arguments), self._spoil)

        return draw


class _FlawedStream:
    def __init__(self, stream: Any, spoil: Callable[[Words], Words]) -> None:
        self._stream, self._spoil = stream, spoil

    def words(self, count: int) -> Words:
        return self._spoil(self._stream.words(count))

    def fill(self, out: Words) -> None:
        self._stream.fill(out)
        out[...] = self._spoil(out.ravel()).reshape(out.shape)


def _biased(words: Words) -> Words:
    # one word in 32 has its lowest bit set to 1: heads come with a chance of 0.516
    return words | (words >> np.uint64(52) & np.uint64(31) == 0).astype(np.uint64)


SPOILED: dict[str, Callable[[Words], Words]] = {
    "high bit stuck": lambda words: words & np.uint64(2**60 - 1),
    "biased coin": _biased,
    "every coin twice": lambda words: np.repeat(words[: (len(words) + 1) // 2], 2)[: len(words)],
    "a stream that starts again": lambda words: np.resize(words[: 1 + len(words) // 3], len(words)),
    "no coins at all": np.zeros_like,
}
# where several streams are added up modulo p, single bits of one of them cannot be seen any more
SEEN_IN = [(flaw, what) for flaw in SPOILED for what in ("deal", "bits")]
SEEN_IN += [(flaw, what) for flaw in list(SPOILED)[2:] for what in ("multiply", "zero")]


@pytest.mark.parametrize(("flaw", "what"), SEEN_IN)
def test_flawed_coins_are_found(flaw: str, what: str) -> None:
    count = 10**5
    ring = rings(THREE)
    coins = [_Flawed(ring[i], SPOILED[flaw]) for i in THREE.members]

    async def program(session: Session) -> list[tuple[Words, int]]:
        if what == "bits":
            own = np.zeros((1, count), np.uint64) if session.index == 1 else None
            bits = (await deal_planes(session, own, (1,), (1, count), 64 * count))[1]
            return [(bits.words[0].ravel(), 64)]
        if what == "zero":
            return limbs(M61, prss.zero_share(M61, THREE, session.index, session.randomness, "z", (count,)))
        x = await dealt(session, M61, M61.from_int64(np.full(count, 5)))
        return limbs(M61, (x if what == "deal" else await multiply(session, x, x)).values)

    parts = run_parties(THREE, program, coins=coins)  # type: ignore[arg-type]
    assert any(findings(part) for part in parts[:2])


def test_a_share_that_shows_its_secret_is_found() -> None:
    """A tenth of the secret's size on top of a uniform share."""
    secret, sign = secrets_of(M61, 10**5)["largest, both signs in turn"]
    share = M61.uniform(rings(THREE)[1].subset((1, 2), "s"), (10**5,))
    assert findings(limbs(M61, share), sign) == []
    assert findings(limbs(M61, share - share // np.uint64(10) + secret // np.uint64(10)), sign)
