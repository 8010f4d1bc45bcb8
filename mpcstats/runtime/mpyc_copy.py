"""A private copy of the MPyC package for one session.

MPyC keeps one runtime per process in module globals, reads `sys.argv` and the environment, sets up logging and an
event loop policy while it is imported, and marshals arrays with pickle. A private copy has its own module globals, so
several parties can live in one process, and sees stand-ins for the modules through which it would reach outside: a
pickle that refuses, a logger without side effects, an environment of its own. Nothing enters `sys.modules`.

Inside the copy four functions are replaced (see `_harden`): shares from other parties are checked before they are used,
and program counters hop by a hash that is the same for every Python version.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import logging
import os
import secrets
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from mpcstats.errors import ConfigurationError, FrameRejected
from mpcstats.field import WordSource

__all__ = ["Payload", "PrivateMpyc"]

# READTHEDOCS is MPyC's own switch for an import without reading options, logging, event loops and a global runtime
_ENVIRONMENT = {"READTHEDOCS": "True", "MPYC_MAXWORKERS": "0"}


class Payload(bytes):
    """Bytes of a message that remember who sent them."""

    party: str = ""


class PrivateMpyc:
    """One copy of all modules of MPyC.

    Parameters
    ----------
    party_name : function of int
        The name of party 1..m, for errors about its shares.

    Examples
    --------
    >>> PrivateMpyc(str).module("mpyc.thresha").__name__
    'mpyc.thresha'
    """

    def __init__(self, party_name: Callable[[int], str]) -> None:
        found = importlib.util.find_spec("mpyc")
        if found is None or not found.submodule_search_locations:
            raise ConfigurationError("the package mpyc is not installed", hint="pip install 'mpyc>=0.11'")
        self._folder = Path(next(iter(found.submodule_search_locations)))
        self._modules: dict[str, ModuleType] = {}
        self._coins = _Coins()
        self._stand_ins = {
            "pickle": _refusing_pickle(),
            "logging": _quiet_logging(),
            "os": _private_os(),
            "secrets": self._coins.module(),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # numpy.core, in MPyC 0.11
            self.module("mpyc.runtime")
        _harden(self, party_name)

    def module(self, name: str) -> ModuleType:
        """One module of the copy, loaded when it is asked for first."""
        if name not in self._modules:
            parent, _, child = name.rpartition(".")
            if parent:
                self.module(parent)
            if name in self._modules:  # loaded by its package
                return self._modules[name]
            path = self._folder / (f"{child}.py" if parent else "__init__.py")
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            # every import statement inside the copy stays inside the copy
            module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
            self._modules[name] = module
            spec.loader.exec_module(module)
            if parent:
                setattr(self._modules[parent], child, module)
        return self._modules[name]

    def bind(self, runtime: Any) -> None:
        """Make `runtime` the one that the copy's secure objects use."""
        for module in self._modules.values():
            if module is not self._modules["mpyc"] and "runtime" in vars(module):
                module.runtime = runtime  # type: ignore[attr-defined]

    def draw_from(self, source: WordSource | None) -> None:
        """Where this party's own coins come from; None: the operating system."""
        self._coins.source, self._coins.bits, self._coins.left = source, 0, 0

    def owns(self, scope: Mapping[str, Any]) -> bool:
        """Whether `scope` are the globals of one of the copy's modules."""
        return any(vars(module) is scope for module in self._modules.values())

    def _import(
        self,
        name: str,
        scope: Mapping[str, object] | None = None,
        local: Mapping[str, object] | None = None,
        names: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0 and name in self._stand_ins:
            return self._stand_ins[name]
        if level or name.partition(".")[0] != "mpyc":
            return builtins.__import__(name, scope, local, names or (), level)
        module = self.module(name)
        for part in names or ():
            if not hasattr(module, part):
                self.module(f"{name}.{part}")
        return module if names else self._modules["mpyc"]


class _Coins:
    """What `secrets` does, from a party's own stream: a run that is taken up again draws the same coins."""

    WORDS = 512
    """Drawn at a time."""

    def __init__(self) -> None:
        self.source: WordSource | None = None
        self.bits = self.left = 0

    def randbits(self, count: int) -> int:
        """`secrets.randbits`."""
        if self.source is None:
            return secrets.randbits(count)
        while self.left < count:
            fresh = int.from_bytes(self.source.words(self.WORDS).astype("<u8").tobytes(), "little")
            self.bits |= fresh << self.left
            self.left += 64 * self.WORDS
        drawn = self.bits & ((1 << count) - 1)
        self.bits >>= count
        self.left -= count
        return drawn

    def randbelow(self, bound: int) -> int:
        """`secrets.randbelow`: by rejection."""
        size = (bound - 1).bit_length() if bound > 1 else 0
        while (drawn := self.randbits(size)) >= bound:
            pass
        return drawn

    def module(self) -> ModuleType:
        """The stand-in."""
        module = ModuleType("secrets")
        vars(module).update(
            randbits=self.randbits,
            randbelow=self.randbelow,
            token_bytes=lambda size: self.randbits(8 * size).to_bytes(size, "little"),
        )
        return module


def _refusing_pickle() -> ModuleType:
    def refuse(*_: object) -> NoReturn:
        raise FrameRejected("messages that carry Python objects are refused; nothing was unpickled")

    module = ModuleType("pickle")
    vars(module).update(dumps=refuse, loads=refuse)
    return module


def _quiet_logging() -> ModuleType:
    logger = logging.getLogger("mpcstats.mpyc")
    module = ModuleType("logging")
    levels = {name: getattr(logging, name) for name in ("NOTSET", "DEBUG", "INFO", "WARNING", "ERROR")}
    # the functions of the real module would install a handler at the root, and disable() is global
    vars(module).update(
        levels, debug=logger.debug, info=logger.info, warning=logger.warning, disable=lambda level: None
    )
    return module


def _private_os() -> ModuleType:
    environment = dict(_ENVIRONMENT)
    module = ModuleType("os")
    vars(module).update(environ=environment, getenv=environment.get, path=os.path)
    return module


def _harden(mpyc: PrivateMpyc, party_name: Callable[[int], str]) -> None:
    thresha, finfields = mpyc.module("mpyc.thresha"), mpyc.module("mpyc.finfields")
    split_array, combine_arrays = thresha.np_random_split, thresha.np_recombine
    split_list, combine_lists = thresha.random_split, thresha.recombine

    def random_split(field: Any, secrets: Any, t: int, m: int) -> Any:
        return (split_array if isinstance(secrets, np.ndarray) else split_list)(field, secrets, t, m)

    def recombine(field: Any, points: Sequence[tuple[int, Any]], at: Any = 0) -> list[Any]:
        # own shares come last; at nonzero points MPyC computes weights, not with others' shares
        size = len(points[-1][1])
        for party, share in points if at == 0 else ():
            if len(share) != size:
                raise FrameRejected(
                    f"sent {len(share)} shares where {size} were due (program under MPyC)", party=party_name(party)
                )
            if not all(0 <= int(value) < field.order for value in share):
                raise FrameRejected("sent a share that is not a field element", party=party_name(party))
        if field.ext_deg > 1:
            return list(combine_lists(field, points, at))
        arrays = [(x, np.array([int(value) for value in share], dtype=object)) for x, share in points]
        return list(combine_arrays(field, arrays, at).value)

    def from_bytes(cls: Any, data: bytes) -> list[int]:
        width = cls.byte_length
        if len(data) % width:
            party = data.party if isinstance(data, Payload) else None
            raise FrameRejected(f"sent {len(data)} bytes of field elements of {width} bytes", party=party)
        return [int.from_bytes(data[i : i + width], "little") for i in range(0, len(data), width)]

    def hop(counter: Sequence[int]) -> int:
        digest = hashlib.sha256(b"%d,%d" % tuple(counter)).digest()
        return int.from_bytes(digest[:8], "little", signed=True)

    thresha.random_split = random_split  # type: ignore[attr-defined]
    thresha.recombine = recombine  # type: ignore[attr-defined]
    finfields.PrimeFieldElement.from_bytes = classmethod(from_bytes)
    mpyc.module("mpyc.asyncoro")._hop = hop  # type: ignore[attr-defined]
