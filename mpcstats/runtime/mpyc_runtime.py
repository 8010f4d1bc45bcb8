"""The MPyC runtime of one party of one session: keys from the session, openings under the session's rules.

MPyC's protocols open masked numbers. Each such opening is listed in `OPENINGS` by the function that makes it, with what
hides the number; any other opening is refused. Two things are done differently from MPyC 0.11:

* Sharings of degree 2t (products that were not reshared) get a fresh sharing of zero before they are opened. MPyC
  leaves it out in large fields (`is_zero_public`, `reciprocal`, `_is_zero`): then all parties see the polynomial
  A(x) R(x) of the product, and its factors tell them A(0) up to a few candidates.
* The security parameter is kappa + ceil(log2 C(m, t)): MPyC divides the range of a mask over the C(m, t) subsets, and
  the one that a coalition does not know must hide the number alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpcstats.errors import ProtocolError, UndeclaredOpening
from mpcstats.runtime.mpyc_copy import PrivateMpyc
from mpcstats.runtime.mpyc_loop import HandTurnedLoop
from mpcstats.runtime.mpyc_mail import Mailbox
from mpcstats.runtime.session import Session

__all__ = ["OPENINGS", "Hidden", "bound_runtime", "forget_keys", "security_parameter"]


@dataclass(frozen=True)
class Hidden:
    """What hides the numbers that a function of MPyC opens.

    Attributes
    ----------
    bounded : bool
        A mask of bounded size: each number enters the session's ledger. Otherwise a uniform field element (or the
        number is a coin that is thrown away), which costs nothing.
    has_zero : bool
        MPyC itself adds a sharing of zero to its sharings of degree 2t.
    """

    bounded: bool
    has_zero: bool = False


_BOUNDED = [
    "_convert",
    "trunc",
    "np_trunc",
    "sgn",
    "np_sgn",
    "lsb",
    "np_lsb",
    "_mod",
    "trailing_zeros",
    "to_bits",
    "np_to_bits",
    "sincos",
    "np_unit_vector",
]
_UNIFORM = ["is_zero_public", "np_is_zero_public", "_is_zero", "_np_is_zero"]
_COINS = ["_randbelow", "random_unit_vector", "np_random_unit_vector"]

OPENINGS: dict[str, Hidden] = {
    **dict.fromkeys(_BOUNDED, Hidden(bounded=True)),
    **dict.fromkeys([*_UNIFORM, *_COINS], Hidden(bounded=False)),
    **dict.fromkeys(["random_bits", "np_random_bits"], Hidden(bounded=False, has_zero=True)),
}
"""Function of MPyC that opens -> what hides the opened numbers."""

_ZERO_TESTS = frozenset({"sgn", "np_sgn", "_mod"})
"""Functions whose public zero test shows a random bit. Called by anything else it would show a secret."""

_REFUSED = ("transfer", "input", "peek", "start", "shutdown", "run", "set_protocol", "unset_protocol", "__aenter__")


def security_parameter(session: Session) -> int:
    """MPyC's k, such that every bounded mask has the session's kappa bits."""
    return session.kappa + (len(session.committee.subsets) - 1).bit_length()


def bound_runtime(
    session: Session, mpyc: PrivateMpyc, loop: HandTurnedLoop, boxes: dict[int, Mailbox], label: str
) -> Any:
    """An MPyC runtime on the session's parties and keys, not started and not able to start.

    Parameters
    ----------
    boxes : dict of party to Mailbox
    label : str
        Fresh: names the keys of this runtime.
    """
    module = mpyc.module("mpyc.runtime")
    options = mpyc.module("mpyc")._get_arg_parser().parse_args([])
    vars(options).update(
        threshold=session.committee.t,
        sec_param=security_parameter(session),
        no_log=True,
        no_async=False,
        no_barrier=True,  # a barrier spins until messages arrive; here they arrive between turns
        no_prss=False,
        mix32_64bit=True,  # arrays travel as field bytes instead of pickles
    )
    parties = [module.Party(i - 1) for i in session.committee.members]
    for j, box in boxes.items():
        parties[j - 1].protocol = box
    with loop.running():  # MPyC takes the loop that runs while its runtime is made
        runtime = _bound_class(session, mpyc)(session.index - 1, parties, options)
    runtime._prss_keys = {
        tuple(i - 1 for i in A): session.randomness.subset(A, label).words(2).tobytes()
        for A in session.committee.subsets_of(session.index)
    }
    runtime.prfs.cache_clear()
    mpyc.bind(runtime)
    return runtime


def forget_keys(runtime: Any) -> None:
    """Drop the keys of a runtime that has done its work."""
    runtime._prss_keys.clear()
    runtime.prfs.cache_clear()


def _caller(mpyc: PrivateMpyc) -> str | None:
    """The function of MPyC that called the caller of this function; None when it is not MPyC's own."""
    frame = sys._getframe(2)
    while frame.f_code.co_name.startswith("<") and frame.f_back is not None:
        frame = frame.f_back  # comprehensions and lambdas
    return frame.f_code.co_name if mpyc.owns(frame.f_globals) else None


def _bound_class(session: Session, mpyc: PrivateMpyc) -> type[Any]:
    module = mpyc.module("mpyc.runtime")

    class BoundRuntime(module.Runtime):  # type: ignore[misc, name-defined]
        """`mpyc.runtime.Runtime` under the session's rules."""

        opened: dict[int, bytes]

        def output(self, x: Any, receivers: Any = None, threshold: int | None = None, raw: bool = False) -> Any:
            """Open masked numbers for one of MPyC's own protocols."""
            name = _caller(mpyc)
            hidden = OPENINGS.get(name or "")
            if hidden is None or receivers is not None:
                where = f"MPyC's {name!r}" if name else "a program under MPyC"
                raise UndeclaredOpening(
                    f"{where} would open values; nothing was opened",
                    hint="return the shared result and open it with open_declared",
                )
            if hidden.bounded:
                session.spend_masks(_count(x))
            if threshold is not None and threshold > self.threshold and not hidden.has_zero:
                x = _rerandomised(self, module, x)
            pc = [*self._program_counter]
            result = super().output(x, threshold=threshold, raw=raw)
            result.add_done_callback(lambda done: _record(self, f"{name}/{pc[0]}/{pc[1]}", done))
            return result

        def is_zero_public(self, a: Any) -> Any:
            """Zero test with a public result, for protocols in which that is a random bit."""
            _allow_zero_test(_caller(mpyc))
            return super().is_zero_public(a)

        def np_is_zero_public(self, a: Any) -> Any:
            """Zero tests with public results, for protocols in which these are random bits."""
            _allow_zero_test(_caller(mpyc))
            return super().np_is_zero_public(a)

    for name in _REFUSED:
        setattr(BoundRuntime, name, _refuse(name))
    BoundRuntime.opened = {}
    return BoundRuntime


def _refuse(name: str) -> Callable[..., Any]:
    def refused(*_: Any, **__: Any) -> Any:
        raise ProtocolError(
            f"{name}() of MPyC is not available inside a session: parties, messages and inputs are the session's",
            hint="deal inputs with protocols.deal, open results with open_declared",
        )

    return refused


def _allow_zero_test(caller: str | None) -> None:
    if caller not in _ZERO_TESTS:
        raise UndeclaredOpening(
            "a public zero test shows a secret bit; nothing was opened",
            hint="compare with ==, which keeps the answer shared",
        )


def _count(x: Any) -> int:
    parts = x if isinstance(x, list) else [x]
    return sum(math.prod(getattr(part, "shape", ())) for part in parts)


def _rerandomised(runtime: Any, module: Any, x: Any) -> Any:
    """Field elements of degree 2t plus a fresh sharing of zero, from MPyC's PRSS under the session's keys."""
    parts = x if isinstance(x, list) else [x]
    field = type(parts[0]) if not hasattr(parts[0], "shape") else type(parts[0]).field
    shared = (field, len(runtime.parties), runtime.pid, runtime.prfs(field.order))
    if hasattr(parts[0], "shape"):
        fresh = [module.thresha.np_pseudorandom_share_0(*shared, runtime._prss_uci(), a.size) for a in parts]
        parts = [a + field.array(zero.value.reshape(a.shape)) for a, zero in zip(parts, fresh, strict=True)]
    else:
        zeros = module.thresha.pseudorandom_share_zero(*shared, runtime._prss_uci(), len(parts))
        parts = [a + zero for a, zero in zip(parts, zeros, strict=True)]
    return parts if isinstance(x, list) else parts[0]


def _record(runtime: Any, name: str, done: Any) -> None:
    """Keep what was opened; the bridge enters it in the session's digest in an order that all parties share."""
    if done.cancelled() or done.exception() is not None:
        return
    opened = done.result()
    values = [int(v) for part in (opened if isinstance(opened, list) else [opened]) for v in np.ravel(_integers(part))]
    runtime.opened[name] = ",".join(map(str, values)).encode()


def _integers(part: Any) -> Any:
    return part.value if hasattr(part, "value") else part
