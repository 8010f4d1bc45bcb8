"""MPyC's protocols on our shares, over our channel: for everything that is not hot.

A program written for MPyC (`program(mpc, x, y)`) runs between the parties of a session. Its secure objects hold the
session's shares: same field, same points, so conversion either way is an identity on bytes and opens nothing. Messages
travel in lockstep rounds of the session (`mpyc_mail`), keys come from the session's, openings follow its rules
(`mpyc_runtime`), and MPyC itself is a private copy per session (`mpyc_copy`) in a loop turned by hand (`mpyc_loop`).

    async def closest(mpc, x, y):
        return mpc.np_argmin((x - y) ** 2)

    nearest = await run_mpyc(session, closest, x, y)

A program must not depend on anything but public shapes and shared values: every party runs the same one. What it
computes between two waits blocks the event loop, and the other parties wait for it: keep arrays small.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from mpcstats.errors import ConfigurationError, RangeError
from mpcstats.field import M61, M127, PrimeField
from mpcstats.runtime.mpyc_copy import PrivateMpyc
from mpcstats.runtime.mpyc_loop import HandTurnedLoop
from mpcstats.runtime.mpyc_mail import Mailbox, exchange_mail
from mpcstats.runtime.mpyc_runtime import bound_runtime, forget_keys, security_parameter
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared

__all__ = ["from_mpyc", "run_mpyc", "secure_type", "to_mpyc"]

_COPIES: weakref.WeakKeyDictionary[Session, PrivateMpyc] = weakref.WeakKeyDictionary()
_FIELDS = {field.modulus: field for field in (M61, M127)}


async def run_mpyc(
    session: Session, program: Callable[..., Any], *inputs: Shared, bits: int | None = None
) -> Shared | tuple[Shared, ...]:
    """Run a program written for MPyC on shared inputs.

    Parameters
    ----------
    program : function of (mpc, *secure_inputs), async or not
        `mpc` is an MPyC runtime of this session. Inputs arrive as MPyC's secure arrays (as secure numbers where the
        shape is ()), of the type that `secure_type` tells. Returns a secure array, a secure number or a list of these,
        or a tuple of such results.
    inputs : Shared
        Degree t.
    bits : int, optional
        The promise -2^(bits-1) <= integer < 2^(bits-1) for all inputs and results (the integer that is shared: number
        * 2^fraction_bits). Comparisons cost in proportion. Default: all that the field has room for.

    Returns
    -------
    Shared, or a tuple of Shared where the program returns a tuple

    Raises
    ------
    ConfigurationError
        There are parties outside of the committee: a program may branch on what it opens, which guests do not see.
    RangeError
        `bits` do not fit the field with the session's kappa.
    UndeclaredOpening
        The program opens a value (`mpc.output`, public zero tests). Results are opened by `open_declared`.
    ProtocolError
        The parties' programs wait for each other; or the program asks for inputs, transfers, time.
    StatisticalSecurityError
        The program opens more masked numbers than the session's ledger allows.

    Notes
    -----
    Two rounds per round of MPyC and one at the end. Every mask of bounded size enters the session's ledger, every
    opened masked number its digest.
    """
    if session.guests:
        raise ConfigurationError("programs of MPyC run where all parties compute: not with a committee and guests")
    mpyc = _copy_of(session)
    loop = HandTurnedLoop()  # type: ignore[abstract]  # the rest is input, output and time
    boxes = {j: Mailbox(loop, session.name(j)) for j in session.others}
    mpyc.draw_from(session.randomness.private(session.label("mpyc coins")))
    runtime = bound_runtime(session, mpyc, loop, boxes, session.label("mpyc"))
    runtime.opened = {}

    async def main() -> Any:
        secure = [to_mpyc(session, runtime, x, bits) for x in inputs]
        result = program(runtime, *secure)
        if inspect.isawaitable(result):
            result = await result
        return await from_mpyc(session, runtime, result)

    task = loop.create_task(main())
    try:
        while True:
            await loop.turn()
            if loop.failure is not None:
                raise loop.failure
            if task.done():
                task.result()
            if await exchange_mail(session, boxes, task.done()):
                break
        for name, values in sorted(runtime.opened.items()):
            session.openings.record(f"mpyc/{name}", values)
        shared: Shared | tuple[Shared, ...] = task.result()
        return shared
    finally:
        loop.close()
        forget_keys(runtime)
        mpyc.draw_from(None)
        mpyc.bind(None)


def secure_type(session: Session, runtime: Any, field: PrimeField, fraction_bits: int, bits: int | None = None) -> Any:
    """The type of MPyC that carries a Shared: a SecFxp, SecInt (M127) or SecFld (other fields) over the same field.

    M61 has no room for bounded masks: its numbers can be added, multiplied and tested for equality.

    Raises
    ------
    RangeError
        No room for numbers of `bits` bits beside masks of the session's kappa.
    """
    if field != M127 and not fraction_bits:
        return runtime.SecFld(modulus=field.modulus, signed=True)
    room = field.bits - security_parameter(session) - fraction_bits - 2
    width = room if bits is None else bits
    if not fraction_bits < width <= room:
        raise RangeError(
            f"{width} bits with {fraction_bits} fraction bits do not fit {field} at kappa = {session.kappa} with "
            f"{session.committee.m} parties: there is room for {room}"
        )
    if fraction_bits:
        return runtime.SecFxp(width, fraction_bits, p=field.modulus)
    return runtime.SecInt(width, p=field.modulus)


def to_mpyc(session: Session, runtime: Any, x: Shared, bits: int | None = None) -> Any:
    """MPyC's secure array (secure number for shape ()) that holds exactly this share. Local.

    Raises
    ------
    RangeError
        The sharing is of degree 2t, or its numbers have no room; see `secure_type`.
    """
    if x.degree > session.committee.t:
        raise RangeError("only sharings of degree t go to MPyC; products are reshared first")
    kind = secure_type(session, runtime, x.field, x.fraction_bits, bits)
    share = x.field.to_ints(x.values)
    options = {"integral": False} if x.fraction_bits else {}
    if x.shape == ():
        return kind(kind.field(int(share.item() if isinstance(share, np.ndarray) else share)), **options)
    return kind.array(kind.field.array(share, check=False), **options)


async def from_mpyc(session: Session, runtime: Any, result: Any) -> Any:
    """The Shared that holds exactly the share of a secure object (or of a list; a tuple for a tuple). Local.

    Waits until MPyC has computed it.

    Raises
    ------
    TypeError
        Not a secure object over M61 or M127.
    """
    if isinstance(result, tuple):
        return tuple([await from_mpyc(session, runtime, part) for part in result])
    leaf = result
    while isinstance(leaf, list) and leaf:
        leaf = leaf[0]
    if not isinstance(leaf, runtime.SecureObject):
        raise TypeError(f"a program under MPyC returns secure objects, not {type(leaf).__name__}")
    kind = getattr(type(leaf), "sectype", type(leaf))
    field = _FIELDS.get(kind.field.modulus)
    if field is None:
        raise TypeError(f"results of the type {kind.__name__} are not in one of the session's fields")
    share = await runtime.gather(result)
    values = field.from_ints(np.array(_integers(share), dtype=object))
    return Shared(field, values, session.committee.t, kind.frac_length or 0)


def _integers(share: Any) -> Any:
    return [_integers(part) for part in share] if isinstance(share, list) else share.value


def _copy_of(session: Session) -> PrivateMpyc:
    # one copy serves all programs of a session: MPyC caches types by kappa and parties
    if session not in _COPIES:
        names = session.channel.parties
        _COPIES[session] = PrivateMpyc(lambda party: names[party - 1])
    return _COPIES[session]
