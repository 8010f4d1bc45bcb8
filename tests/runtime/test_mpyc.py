"""MPyC on the session's shares and channel: same results as our protocols, nothing opened, nothing trusted."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import (
    DeadlineExceeded,
    FrameRejected,
    MpcStatsError,
    ProtocolError,
    RangeError,
    StatisticalSecurityError,
    UndeclaredOpening,
)
from mpcstats.field import M61, M127, Elements, PrimeField, lagrange
from mpcstats.protocols import deal, inner_product, is_negative, multiply, multiply_fixed
from mpcstats.protocols.arithmetic import local_product
from mpcstats.runtime import Session, Shared, confirm, open_declared
from mpcstats.runtime.mpyc import run_mpyc
from mpcstats.runtime.mpyc_copy import PrivateMpyc
from mpcstats.runtime.mpyc_loop import HandTurnedLoop
from mpcstats.runtime.mpyc_mail import MAXIMUM_BATCH, Mailbox
from mpcstats.runtime.mpyc_runtime import OPENINGS, _rerandomised, security_parameter
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.fixedpoint import decode, encode
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message

THREE = Committee(3, 1)
COMMITTEES = [THREE, Committee(5, 2)]
EXECUTED: list[str] = []


async def dealt(session: Session, field: PrimeField, values: Elements, fraction_bits: int = 0) -> Shared:
    own = values if session.index == 1 else None
    return (await deal(session, field, own, (1,), field.shape(values), fraction_bits))[1]


async def opened(session: Session, x: Shared) -> Elements:
    name = session.label("test")
    session.openings.declare(name, x.size, "test")
    return await open_declared(session, x, name)


# --- same results from the same shares ----------------------------------------------------------------------------


@pytest.mark.parametrize("committee", [Committee(1, 0), Committee(4, 1), *COMMITTEES], ids=str)
def test_mpyc_and_we_agree_on_integers(committee: Committee) -> None:
    a, b = [0, 1, -1, 3, -(2**30), 2**30], [5, -7, 2**20, -3, -(2**30), 1]

    async def program(session: Session) -> Any:
        x, y = await dealt(session, M127, M127.from_ints(a)), await dealt(session, M127, M127.from_ints(b))
        ours = [
            await multiply(session, x, y),
            await is_negative(session, x),
            x.sum(),
            await inner_product(session, x, y),
        ]
        theirs = await run_mpyc(session, lambda mpc, u, v: (u * v, u < 0, mpc.np_sum(u), u @ v), x, y)
        assert all(r.degree == committee.t and r.fraction_bits == 0 for r in theirs)
        await confirm(session)  # masked openings of MPyC are in the digest, in one order
        return [
            [M127.to_signed(await opened(session, r)).tolist() for r in results]
            for results in (ours, list(theirs))  # type: ignore[arg-type]
        ]

    for ours, theirs in run_parties(committee, program):
        assert ours == theirs
        assert theirs[0] == [u * v for u, v in zip(a, b, strict=True)]


def test_small_numbers_in_m61() -> None:
    async def program(session: Session) -> Any:
        x = await dealt(session, M61, M61.from_ints([4, -5, 6]))
        product, total, same = await run_mpyc(session, lambda mpc, u: (u * u, mpc.np_sum(u), u == -5), x)
        assert session.accounts.masked_openings == 0  # no room for bounded masks in M61: none are used
        return [M61.to_signed(await opened(session, r)).tolist() for r in (product, total, same)]

    assert run_parties(THREE, program) == [[[16, 25, 36], 5, [0, 1, 0]]] * 3


def test_fixed_point_products_agree() -> None:
    a, b, f = np.array([1.5, -2.25, 100.125, 1e-3]), np.array([3.0, 7.5, -0.125, 900.0]), 24

    async def program(session: Session) -> Any:
        x = await dealt(session, M127, encode(M127, a, f, 10), f)
        y = await dealt(session, M127, encode(M127, b, f, 10), f)
        ours = await multiply_fixed(session, x, y, 11)
        theirs = await run_mpyc(session, lambda mpc, u, v: u * v, x, y)
        assert isinstance(theirs, Shared)
        assert theirs.fraction_bits == f
        return [decode(M127, await opened(session, r), f) for r in (ours, theirs)]

    for ours, theirs in run_parties(THREE, program):
        np.testing.assert_allclose(ours, a * b, atol=2 * 2**-f + 1e3 * 2**-f)
        np.testing.assert_allclose(theirs, ours, atol=3 * 2**-f)


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
@pytest.mark.parametrize("field", [M61, M127], ids=str)
def test_conversion_both_ways_is_the_identity_on_bytes(committee: Committee, field: PrimeField) -> None:
    shapes: list[tuple[int, ...]] = [(), (1,), (4,), (2, 3), (0,)]

    async def program(session: Session) -> Any:
        inputs = [
            await dealt(session, field, field.reshape(field.from_ints(np.arange(int(np.prod(s))) - 1), s))
            for s in shapes
        ]
        before = session.accounts.masked_openings, session.openings.digest
        back = await run_mpyc(session, lambda mpc, *u: u, *inputs)
        assert isinstance(back, tuple)
        assert (session.accounts.masked_openings, session.openings.digest) == before
        assert [b.shape for b in back] == shapes
        assert all(b.field == field and b.degree == committee.t for b in back)
        return [
            bytes(field.to_bytes(x.values)) == bytes(field.to_bytes(b.values))
            for x, b in zip(inputs, back, strict=True)
        ]

    assert run_parties(committee, program) == [[True] * len(shapes)] * committee.m


def test_fraction_bits_survive_the_conversion() -> None:
    async def program(session: Session) -> Any:
        x = await dealt(session, M127, encode(M127, np.array([0.75, -2.0]), 20, 4), 20)
        back = await run_mpyc(session, lambda mpc, u: u, x)
        assert isinstance(back, Shared)
        return back.fraction_bits, bytes(M127.to_bytes(x.values)) == bytes(M127.to_bytes(back.values))

    assert run_parties(THREE, program) == [(20, True)] * 3


def test_programs_with_mpycs_own_api() -> None:
    async def scalars(mpc: Any, x: Any) -> Any:
        @mpc.coroutine
        async def double(a):  # type: ignore[no-untyped-def] # MPyC gives return annotations a meaning
            await mpc.returnType(type(a))
            return await mpc.gather(a) * 2

        await mpc.barrier()
        numbers = mpc.np_tolist(x)
        return [double(mpc.max(numbers)), mpc.sorted(numbers)[0], mpc.min(numbers)]

    async def program(session: Session) -> Any:
        x = await dealt(session, M127, M127.from_ints([7, -9, 4]))
        result = await run_mpyc(session, scalars, x, bits=16)
        assert isinstance(result, Shared)
        assert result.shape == (3,)
        return M127.to_signed(await opened(session, result)).tolist()

    assert run_parties(THREE, program) == [[14, -9, -9]] * 3


# --- nothing is opened behind the manifest's back -------------------------------------------------------------------


def _refused(program: Callable[..., Any], error: type[MpcStatsError], **options: Any) -> str:
    async def party(session: Session) -> str:
        x = await dealt(session, M127, M127.from_ints([3, 0, 5]))
        sent = dict(session.accounts.bytes_sent)
        with pytest.raises(error) as caught:
            await run_mpyc(session, program, x, **options)
        assert session.accounts.bytes_sent == sent  # refused before anything was sent
        return str(caught.value)

    texts = run_parties(THREE, party)
    assert len(set(texts)) == 1
    return str(texts[0])


async def _output(mpc: Any, x: Any) -> Any:
    return await mpc.output(x)


async def _output_in_a_function_named_like_a_protocol(mpc: Any, x: Any) -> Any:
    async def np_random_bits() -> Any:
        return await mpc.output(x)

    return await np_random_bits()


@pytest.mark.parametrize(
    "program",
    [
        _output,
        _output_in_a_function_named_like_a_protocol,
        lambda mpc, x: mpc.output([mpc.np_tolist(x)[0]]),
        lambda mpc, x: mpc.is_zero_public(mpc.np_tolist(x)[0]),
        lambda mpc, x: mpc.np_is_zero_public(x),
        lambda mpc, x: mpc.eq_public(mpc.np_tolist(x)[0], 3),
        lambda mpc, x: mpc.np_reciprocal(x),
        lambda mpc, x: mpc.reciprocal(mpc.np_tolist(x)[0]),
        lambda mpc, x: mpc.statistics.median(mpc.np_tolist(x)),
    ],
)
def test_opening_is_refused(program: Callable[..., Any]) -> None:
    assert "nothing was opened" in _refused(program, UndeclaredOpening)


@pytest.mark.parametrize(
    "program",
    [
        lambda mpc, x: mpc.transfer("anything"),
        lambda mpc, x: mpc.input(x),
        lambda mpc, x: mpc.peek(x),
        lambda mpc, x: mpc.run(mpc.gather(x)),
        lambda mpc, x: mpc.start(),
        lambda mpc, x: mpc.shutdown(),
    ],
)
def test_inputs_transfers_and_sockets_are_refused(program: Callable[..., Any]) -> None:
    assert "not available" in _refused(program, ProtocolError)


def test_a_program_cannot_wait_for_time() -> None:
    async def sleeper(mpc: Any, x: Any) -> Any:
        await asyncio.sleep(0.01)
        return x

    _refused(sleeper, ProtocolError)


def test_only_secure_objects_come_back() -> None:
    async def program(session: Session) -> str:
        x = await dealt(session, M127, M127.from_ints([1]))
        with pytest.raises(TypeError) as caught:
            await run_mpyc(session, lambda mpc, u: 5, x)
        return str(caught.value)

    assert run_parties(THREE, program) == ["a program under MPyC returns secure objects, not int"] * 3


def test_an_error_of_the_program_reaches_its_author() -> None:
    async def program(session: Session) -> None:
        x = await dealt(session, M127, M127.from_ints([1, 2]))
        with pytest.raises(ZeroDivisionError):
            await run_mpyc(session, lambda mpc, u: 1 // 0, x)

    run_parties(THREE, program)


def test_products_are_not_converted_before_they_are_reshared() -> None:
    async def program(session: Session) -> None:
        x = await dealt(session, M127, M127.from_ints([1, 2]))
        with pytest.raises(RangeError, match="degree t"):
            await run_mpyc(session, lambda mpc, u: u, local_product(x, x))

    run_parties(THREE, program)


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
def test_products_are_opened_under_a_fresh_sharing_of_zero(committee: Committee) -> None:
    """The opened polynomial of a product must not be the product of the polynomials: its roots tell the factors."""
    points = tuple(range(1, committee.m + 1))
    p = M127.modulus

    async def program(session: Session) -> Any:
        x = await dealt(session, M127, M127.from_ints([12345]))
        kept: list[int] = []

        def look(mpc: Any, u: Any) -> Any:
            field = type(u).sectype.field
            share = int(M127.to_ints(x.values)[0])
            product = field(share * share)
            copy = sys.modules["mpcstats.runtime.mpyc"]._copy_of(session)
            kept.extend(int(_rerandomised(mpc, copy.module("mpyc.runtime"), [product])[0].value) for _ in range(2))
            return u

        await run_mpyc(session, look, x)
        return int(M127.to_ints(x.values)[0]), kept

    parties = run_parties(committee, program)
    degree = 2 * committee.t

    def at(shares: list[int], x: int) -> int:
        weights = lagrange(M127, points[: degree + 1], x)
        return sum(w * s for w, s in zip(weights, shares, strict=False)) % p

    raw = [share * share % p for share, _ in parties]
    for k in range(2):
        fresh = [kept[k] % p for _, kept in parties]
        assert at(fresh, 0) == at(raw, 0) == 12345**2
        assert [at(fresh, i) for i in points] == fresh  # degree 2t
        assert all(a != b for a, b in zip(fresh, raw, strict=True))
    assert parties[0][1][0] != parties[0][1][1]


@pytest.mark.parametrize("program", [lambda mpc, x: x < 0, lambda mpc, x: mpc.np_tolist(x)[0] < 0], ids=["np", "list"])
def test_comparisons_open_their_products_that_way(program: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def counted(*given: Any) -> Any:
        calls.append(given)
        return _rerandomised(*given)

    monkeypatch.setattr("mpcstats.runtime.mpyc_runtime._rerandomised", counted)

    async def party(session: Session) -> None:
        await run_mpyc(session, program, await dealt(session, M127, M127.from_ints([4])), bits=8)

    run_parties(THREE, party)
    assert calls


def test_every_opening_of_mpyc_is_listed_or_refused() -> None:
    """The list names functions that exist, and no function that opens a result."""
    source = (PrivateMpyc(str)._folder / "runtime.py").read_text() + (
        PrivateMpyc(str)._folder / "random.py"
    ).read_text()
    for name in OPENINGS:
        assert f"def {name}(" in source, name
    assert not {"output", "reciprocal", "np_reciprocal", "np_det", "peek", "indexOf"} & set(OPENINGS)


# --- the ledger ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "masks"),
    [
        (lambda mpc, x: x + x * 3, 0),
        (lambda mpc, x: x * x, 0),
        (lambda mpc, x: x < 0, 3),
        (lambda mpc, x: mpc.np_to_bits(x, 4), 3),
        (lambda mpc, x: mpc.trunc(mpc.np_tolist(x), f=2), 3),
        (lambda mpc, x: mpc.max(mpc.np_tolist(x)), 2),
    ],
)
def test_bounded_masks_enter_the_ledger(program: Callable[..., Any], masks: int) -> None:
    async def party(session: Session) -> int:
        x = await dealt(session, M127, M127.from_ints([4, -8, 12]))
        await run_mpyc(session, program, x, bits=24)
        return session.accounts.masked_openings

    assert run_parties(THREE, party) == [masks] * 3


def test_the_ledger_refuses_before_anything_is_opened() -> None:
    async def party(session: Session) -> str:
        x = await dealt(session, M127, M127.from_ints(range(5)))
        with pytest.raises(StatisticalSecurityError) as caught:
            await run_mpyc(session, lambda mpc, u: u < 2, x, bits=8)
        return str(caught.value)

    assert "5 masked openings" in run_parties(THREE, party, kappa=42, kappa_floor=40)[0]


@pytest.mark.parametrize(("committee", "extra"), [(Committee(1, 0), 0), (THREE, 2), (Committee(5, 2), 4)], ids=str)
def test_masks_have_kappa_bits_whatever_subset_is_known(committee: Committee, extra: int) -> None:
    async def party(session: Session) -> None:
        assert security_parameter(session) == 50 + extra
        x = await dealt(session, M127, M127.from_ints([1]))
        seen: list[int] = []

        def look(mpc: Any, u: Any) -> Any:
            seen.append(mpc.options.sec_param)
            # the mask of a comparison: each subset's part must alone have kappa bits
            bounds: list[int] = []
            original = mpc.prfs
            mpc.prfs = lambda bound: bounds.append(bound) or original(bound)  # type: ignore[func-returns-value]
            mpc._np_randoms(type(u).sectype.field, 1, 1 << mpc.options.sec_param)
            del mpc.prfs
            assert bounds == [1 << 50]
            return u

        await run_mpyc(session, look, x)
        assert seen == [50 + extra]

    run_parties(committee, party, kappa=50)


def test_numbers_without_room_beside_the_masks_are_refused() -> None:
    async def party(session: Session) -> None:
        x = await dealt(session, M127, M127.from_ints([1]))
        with pytest.raises(RangeError, match="room for 59"):
            await run_mpyc(session, lambda mpc, u: u, x, bits=60)
        with pytest.raises(RangeError, match="do not fit"):
            await run_mpyc(session, lambda mpc, u: u, x.with_fraction_bits(40))

    run_parties(THREE, party)


def test_each_run_has_keys_of_its_own_and_forgets_them() -> None:
    async def party(session: Session) -> Any:
        x = await dealt(session, M127, M127.from_ints([1]))
        keys: list[dict[Any, bytes]] = []
        runtimes: list[Any] = []

        def look(mpc: Any, u: Any) -> Any:
            keys.append(dict(mpc._prss_keys))
            runtimes.append(mpc)
            return u

        for _ in range(2):
            await run_mpyc(session, look, x)
        assert all(not mpc._prss_keys for mpc in runtimes)
        return keys

    parties = run_parties(Committee(5, 2), party)
    for i, keys in enumerate(parties):
        for run in range(2):
            assert all(i in subset and len(subset) == 3 and len(key) == 16 for subset, key in keys[run].items())
            assert len(keys[run]) == 6
            for other in parties:
                assert all(other[run][A] == key for A, key in keys[run].items() if A in other[run])
        assert not set(keys[0].values()) & set(keys[1].values())


# --- hostile messages ------------------------------------------------------------------------------------------------


class _Evil:
    def __reduce__(self) -> Any:
        return (EXECUTED.append, ("owned",))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


_EVIL = pickle.dumps(_Evil())
_PAYLOADS = {
    "a pickle": _EVIL,
    "a pickle of whole elements": _padded(_EVIL),
    "nothing": b"",
    "half an element": bytes(8),
    "too few": bytes(16),
    "too many": bytes(16 * 40),
    "not below p": b"\xff" * 48,
}


@pytest.mark.parametrize("what", list(_PAYLOADS))
def test_hostile_payloads_are_refused_and_execute_nothing(what: str) -> None:
    async def program(session: Session) -> Any:
        x = await dealt(session, M127, M127.from_ints([1, 2, 3]))

        def multiply_thrice(mpc: Any, u: Any) -> Any:
            if session.index == 3:
                for box in (mpc.parties[0].protocol, mpc.parties[1].protocol):
                    box.send = lambda pc, data, send=box.send: send(pc, _PAYLOADS[what])
            return u * u

        # the honest parties name the liar; the liar itself only learns that they have stopped
        with pytest.raises(FrameRejected if session.index != 3 else MpcStatsError) as caught:
            await run_mpyc(session, multiply_thrice, x)
        await session.channel.abort(caught.value)
        return caught.value.party

    assert run_parties(THREE, program, patience_seconds=5) == ["party3"] * 3
    assert not EXECUTED


def test_pickle_itself_is_refused_inside_mpyc() -> None:
    inside = PrivateMpyc(str).module("mpyc.runtime")
    with pytest.raises(FrameRejected):
        inside.pickle.loads(_EVIL)
    with pytest.raises(FrameRejected):
        inside.pickle.dumps([1])
    assert not EXECUTED
    assert inside.pickle is not pickle


def _message(pc: int, payload: bytes, size: int | None = None) -> bytes:
    return struct.pack("<qI", pc, len(payload) if size is None else size) + payload


@pytest.mark.parametrize(
    "batch",
    [b"\0" * 5, _message(1, b"abc", 4), _message(1, b"", 2**32 - 1), _message(7, b"a") + _message(7, b"b")],
)
def test_malformed_batches_are_refused(batch: bytes) -> None:
    with pytest.raises(FrameRejected) as caught:
        Mailbox(HandTurnedLoop(), "lakeside").deliver(batch)
    assert caught.value.party == "lakeside"


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<QII", MAXIMUM_BATCH + 1, 2, 0x4D507943),
        struct.pack("<QII", 16, 0, 0x4D507943),
        struct.pack("<QII", 0, 0, 1),
        b"\xff" * 16,
    ],
)
def test_wrong_headers_are_refused(header: bytes) -> None:
    async def program(session: Session) -> Any:
        x = await dealt(session, M127, M127.from_ints([1]))
        if session.index == 2:
            await session.exchange(dict.fromkeys(session.others, header), dict.fromkeys(session.others, 16))
            return None
        with pytest.raises(FrameRejected) as caught:
            await run_mpyc(session, lambda mpc, u: u * u, x)
        return caught.value.party

    assert run_parties(THREE, program) == ["party2", None, "party2"]


def test_programs_that_part_ways_are_told_so() -> None:
    async def program(session: Session) -> None:
        x = await dealt(session, M127, M127.from_ints([1]))
        late = session.index == 2

        def work(mpc: Any, u: Any) -> Any:
            return u * u if late else (u + u * 0) * u * u * u

        with pytest.raises(ProtocolError, match="waits for messages that nobody sends"):
            # party 2 counts other protocols: labels do not meet
            await run_mpyc(session, lambda mpc, u: work(mpc, mpc.np_sum(u * 1) if late else u), x)

    run_parties(THREE, program, patience_seconds=5)


@pytest.mark.parametrize("when", ["before", "during"])
def test_a_party_that_stops_is_named_in_time(when: str) -> None:
    async def program(session: Session) -> Any:
        x = await dealt(session, M127, M127.from_ints([1, 2]))
        if session.index == 3:
            if when == "during":
                exchange, rounds = session.exchange, []

                async def stop(*message: Any) -> Any:
                    rounds.append(message)
                    if len(rounds) > 5:
                        await asyncio.sleep(3600)
                    return await exchange(*message)

                session.exchange = stop  # type: ignore[method-assign]
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(run_mpyc(session, lambda mpc, u: u < 0, x, bits=8), 1.5)
            else:
                await asyncio.sleep(1)
            return None
        with pytest.raises(DeadlineExceeded) as caught:
            await run_mpyc(session, lambda mpc, u: u < 0, x, bits=8)
        return caught.value.party

    assert run_parties(THREE, program, patience_seconds=0.5) == ["party3", "party3", None]


# --- the surroundings ------------------------------------------------------------------------------------------------


def test_the_trace_depends_on_shapes_only() -> None:
    def trace(values: list[int]) -> tuple[list[Any], list[int]]:
        seen: list[Message] = []

        async def program(session: Session) -> int:
            x = await dealt(session, M127, M127.from_ints(values))
            await run_mpyc(session, lambda mpc, u: (u * u, u < 0, mpc.np_sort(u)), x, bits=16)
            return session.accounts.rounds

        rounds = run_parties(THREE, program, observe=seen.append)
        return sorted((m.step, m.sender, m.receiver, len(m.payload)) for m in seen), rounds

    assert trace([0, 0, 0]) == trace([-5000, 77, 12])


def test_every_message_is_in_the_accounts() -> None:
    seen: list[Message] = []

    async def program(session: Session) -> dict[int, int]:
        x = await dealt(session, M127, M127.from_ints([5, 6]))
        await run_mpyc(session, lambda mpc, u: u * u, x)
        return session.accounts.bytes_sent

    accounts = run_parties(THREE, program, observe=seen.append)
    for i in THREE.members:
        for j in THREE.members:
            assert accounts[i - 1].get(j, 0) == sum(len(m.payload) for m in seen if (m.sender, m.receiver) == (i, j))


def test_a_copy_of_mpyc_touches_nothing_outside() -> None:
    def surroundings() -> Any:
        loaded = sorted(name for name in sys.modules if name.split(".")[0] == "mpyc")
        root = logging.root
        return (
            list(sys.argv),
            loaded,
            dict(os.environ),
            (root.level, root.handlers[:], root.manager.disable),
            type(asyncio.get_event_loop_policy()),
        )

    before = surroundings()
    kept, sys.argv = sys.argv, ["program", "-M7", "--help", "-V"]  # options that MPyC would act on
    try:
        runtime = PrivateMpyc(str).module("mpyc.runtime")
        assert sys.argv == ["program", "-M7", "--help", "-V"]
    finally:
        sys.argv = kept
    assert surroundings() == before
    assert not hasattr(runtime, "mpc")  # no global runtime


def test_copies_do_not_share_state() -> None:
    one, other = PrivateMpyc(str), PrivateMpyc(str)
    assert one.module("mpyc.sectypes") is not other.module("mpyc.sectypes")
    one.bind("runtime of one")
    assert one.module("mpyc.asyncoro").runtime == "runtime of one"
    assert other.module("mpyc.asyncoro").runtime is None


async def _spin(mpc: Any, x: Any) -> Any:
    waiting: Awaitable[Any] = mpc.gather(x * x)
    while not waiting.done():  # type: ignore[attr-defined]
        await asyncio.sleep(0)
    return x


def test_a_spinning_program_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpcstats.runtime.mpyc_loop._STEPS", 10_000)

    async def program(session: Session) -> None:
        x = await dealt(session, M127, M127.from_ints([1]))
        with pytest.raises(ProtocolError, match="spins"):
            await run_mpyc(session, _spin, x)

    run_parties(THREE, program)
