"""No key and counter is used twice: every stream of AES that a party derives is recorded, over whole runs and restarts.

A stream is one AES key with one starting counter; whoever draws from it starts there. Two streams of one party with the
same key would therefore repeat coins.
"""

from __future__ import annotations

from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from mpcstats import protocols
from mpcstats.errors import ProtocolError
from mpcstats.field import M61, M127
from mpcstats.runtime import Session, confirm, setup
from mpcstats.runtime.mpyc import run_mpyc
from mpcstats.sharing import streams
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.streams import KeyRing
from mpcstats.testing.network import run_parties
from tests.protocols.kit import dealt, opened

THREE = Committee(3, 1)
_party: ContextVar[int] = ContextVar("party")


@dataclass
class Drawn:
    """One stream as one party used it."""

    run: int
    party: int
    key: bytes
    nonce: bytes
    label: str
    holders: tuple[object, ...]
    size: int = 0


@dataclass
class Recorder:
    """Everything drawn, in all runs."""

    drawn: list[Drawn] = field(default_factory=list)
    run: int = 0

    def repeated(self) -> list[str]:
        """Labels of streams whose AES key a party used more than once, in one run or in two."""
        uses = Counter((d.party, d.key) for d in self.drawn)
        return [d.label for d in self.drawn if uses[d.party, d.key] > 1]

    def shared_with_strangers(self) -> list[str]:
        """Labels of streams that somebody holds who should not: another party, another run, or another use."""
        first: dict[bytes, Drawn] = {}
        return [
            d.label
            for d in self.drawn
            if (one := first.setdefault(d.key, d)) and (one.run, one.label, one.holders) != (d.run, d.label, d.holders)
        ]

    def unequal(self) -> list[str]:
        """Labels of common streams of which the holders drew different amounts."""
        sizes: dict[bytes, set[int]] = {}
        for d in self.drawn:
            sizes.setdefault(d.key, set()).add(d.size)
        return [d.label for d in self.drawn if len(sizes[d.key]) > 1]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Sees each AES key with its nonce, where it is made, and how much is encrypted."""
    found, real = Recorder(), streams.Cipher
    context: list[tuple[str, tuple[object, ...]]] = []

    class Recording:
        def __init__(self, algorithm: Any, mode: Any) -> None:
            self._cipher = real(algorithm, mode)
            label, holders = context[-1]
            self._drawn = Drawn(found.run, _party.get(), algorithm.key, mode.nonce, label, holders)
            found.drawn.append(self._drawn)

        def encryptor(self) -> Any:
            self._encryptor = self._cipher.encryptor()
            return self

        def update_into(self, data: Any, out: Any) -> int:
            self._drawn.size += len(data)
            return self._encryptor.update_into(data, out)

    def named(kind: str, method: Any) -> Any:
        def derive(ring: KeyRing, *arguments: Any) -> Any:
            *holders, label = arguments
            context.append((label, (kind, *(holders or [ring._index]))))
            try:
                return method(ring, *arguments)
            finally:
                context.pop()

        return derive

    monkeypatch.setattr(streams, "Cipher", Recording)
    for kind in ("private", "subset", "pair"):
        monkeypatch.setattr(KeyRing, kind, named(kind, getattr(KeyRing, kind)))
    return found


async def study(session: Session) -> None:
    """Some of everything: both fields, both sizes of products, circuits, fixed point, order."""
    _party.set(session.index)
    count = 5000
    x = await dealt(session, M61, M61.from_int64(np.arange(count) - 2500))
    for _ in range(2):  # the same again is a use of its own
        await protocols.multiply(session, x, x)
        await protocols.multiply(session, x[:10], x[:10])
        await protocols.is_negative(session, x[:70])
    await protocols.equal_zero(session, x[:70])
    await protocols.floor_divide(session, x[-3:], 7, 13)
    await protocols.random_bits(session, M61, (70,))
    await protocols.shuffle(session, x[:9])
    await protocols.merge(session, [x[:2].reshape(2, 1), x[:3].reshape(3, 1)])
    z = await dealt(session, M127, M127.from_int64(np.arange(1, count + 1)), 2, 8)
    await protocols.multiply_fixed(session, z, z, 20)
    await protocols.truncate(session, z, 8, 20)
    await protocols.truncate_exact(session, z[:3], 8)
    await protocols.reciprocal(session, z[:2], 15)
    protocols.blurred(session, z, 4)
    await opened(session, x[:3])
    await confirm(session)


async def study_with_mpyc(session: Session) -> None:
    """MPyC's protocols, twice, between two of ours."""
    await study(session)
    z = await dealt(session, M127, M127.from_ints([-3, 5]))
    for _ in range(2):
        await run_mpyc(session, lambda mpc, u: u < 0, z, bits=16)
    await study(session)


@pytest.mark.parametrize(
    ("committee", "program"),
    [
        (THREE, study),
        *(pytest.param(c, study_with_mpyc, marks=pytest.mark.long) for c in (THREE, Committee(5, 2))),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_no_key_and_counter_is_used_twice_also_after_a_restart(
    committee: Committee, program: Any, recorder: Recorder
) -> None:
    """The same parties run the same study twice; every session agrees on fresh keys."""
    for recorder.run in (1, 2):
        run_parties(committee, program, kappa=40, kappa_floor=20)
    assert len([d for d in recorder.drawn if d.run == 1]) == len([d for d in recorder.drawn if d.run == 2]) > 100
    assert {d.holders[0] for d in recorder.drawn} == {"private", "subset", "pair"}
    assert recorder.repeated() == []
    assert recorder.shared_with_strangers() == []
    assert recorder.unequal() == []
    assert len({(d.key, d.nonce) for d in recorder.drawn}) == len({d.key for d in recorder.drawn})


def test_keys_that_survive_a_restart_are_found(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: a session that is restored with the keys that it had before."""
    kept: dict[int, tuple[Any, Any]] = {}
    real = KeyRing.__init__

    def restored(ring: KeyRing, committee: Committee, index: int, subsets: Any, pairs: Any, *more: Any) -> None:
        real(ring, committee, index, *kept.setdefault(index, (subsets, pairs)))

    monkeypatch.setattr(KeyRing, "__init__", restored)
    for recorder.run in (1, 2):
        run_parties(THREE, study, kappa=40, kappa_floor=20)
    assert recorder.repeated()
    assert recorder.shared_with_strangers()


def test_contributions_that_are_not_fresh_are_found(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: all parties contribute what they contributed last time. One honest party would be enough."""

    async def stale(session: Session) -> None:
        _party.set(session.index)
        await protocols.random_bits(session, M61, (10,))

    monkeypatch.setattr(setup.secrets, "token_bytes", bytes)
    for recorder.run in (1, 2):
        run_parties(THREE, stale)
    assert recorder.repeated()


def test_a_label_that_is_given_out_twice_is_refused() -> None:
    """Planted bug: a counter of labels that is set back, within a session."""

    async def program(session: Session) -> None:
        x = await dealt(session, M61, M61.from_ints([1, 2]))
        await protocols.multiply(session, x, x)
        session._label -= 1
        await protocols.multiply(session, x, x)

    with pytest.raises(ProtocolError, match="asked for twice"):
        run_parties(THREE, program)
