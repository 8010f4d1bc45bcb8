"""A bad network between real nodes: a TCP proxy in front of every party, with weather that changes while it runs.

Every party listens where it listens, and the roster names its proxy. The proxy knows who calls, so that each ordered
pair of parties has its own weather. Loopback and Linux only where callers are told apart by process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["CALM", "ChaosNet", "Weather", "caller_by_process"]

_PIECE = 1 << 16
_UNDER_WAY = 64
"""Pieces between the two ends of a connection."""

_TICK = 0.02


@dataclass(frozen=True)
class Weather:
    """What happens to bytes from one party to another.

    Attributes
    ----------
    latency_seconds, jitter_seconds : float
        Each piece arrives so much later, plus 0 to `jitter_seconds`; order is kept.
    bytes_per_second : float or None
        Bandwidth; a very small one is a slow reader.
    hole : bool
        Nothing arrives, and nobody is told; what was sent meanwhile arrives when the hole is closed.
    cut_after : int or None
        The connection breaks after so many more bytes.
    corrupt_after : int or None
        One byte is changed after so many more bytes.
    """

    latency_seconds: float = 0.0
    jitter_seconds: float = 0.0
    bytes_per_second: float | None = None
    hole: bool = False
    cut_after: int | None = None
    corrupt_after: int | None = None


CALM = Weather()


@dataclass
class _Way:
    """One direction between two parties, all connections together."""

    weather: Weather = CALM
    passed: int = 0
    struck: bool = False
    pieces: int = 0

    def set(self, weather: Weather) -> None:
        self.weather, self.passed, self.struck = weather, 0, False


def caller_by_process(processes: Callable[[], Mapping[int, str]]) -> Callable[[tuple[str, int], int], str]:
    """Tells who calls on loopback by the process that owns the calling socket (Linux).

    Parameters
    ----------
    processes : function
        Party by process id, now.
    """

    def caller(address: tuple[str, int], _port: int) -> str:
        inode = _socket_inode(address[1])
        for pid, name in processes().items():
            with contextlib.suppress(OSError):
                if any(_target(entry) == f"socket:[{inode}]" for entry in Path(f"/proc/{pid}/fd").iterdir()):
                    return name
        return ""

    return caller


def _socket_inode(port: int) -> str:
    """Of the socket on 127.0.0.1 (as IPv4, or as gRPC does within IPv6) with this local port that is connected."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(f"0100007F:{port:04X}") and fields[9] != "0":
                return fields[9]
    return ""


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


@dataclass
class ChaosNet:
    """Proxies in front of parties, in a thread of their own; a context manager.

    Parameters
    ----------
    fronts : mapping of party to (host, port)
        Where its proxy listens: the address in the roster.
    backs : mapping of party to (host, port)
        Where the party itself listens.
    caller : function (address, port) -> party or ""
        Who calls from there; see `caller_by_process`. "": a stranger, who has good weather.
    """

    fronts: Mapping[str, tuple[str, int]]
    backs: Mapping[str, tuple[str, int]]
    caller: Callable[[tuple[str, int], int], str]
    _ways: dict[tuple[str, str], _Way] = field(default_factory=dict)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _ends: dict[asyncio.StreamWriter, tuple[str, str]] = field(default_factory=dict)
    _servers: list[asyncio.Server] = field(default_factory=list)
    _pumps: set[asyncio.Task[None]] = field(default_factory=set)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="chaos-net")
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def set(self, sender: str, receiver: str, weather: Weather) -> None:
        """The weather from one party to another from now on; counts of bytes begin anew."""
        self._loop.call_soon_threadsafe(self._way(sender, receiver).set, weather)

    def set_all(self, weather: Weather) -> None:
        """The same weather everywhere."""
        for a in self.fronts:
            for b in self.fronts:
                if a != b:
                    self.set(a, b, weather)

    def partition(self, one: str, other: str, both: bool = True) -> None:
        """Nothing arrives from `one` at `other`, nor back if `both`."""
        self.set(one, other, Weather(hole=True))
        if both:
            self.set(other, one, Weather(hole=True))

    def isolate(self, party: str) -> None:
        """Nothing arrives at a party or from it."""
        for other in self.fronts:
            if other != party:
                self.partition(party, other)

    def heal(self) -> None:
        """Good weather everywhere."""
        for way in list(self._ways):
            self.set(*way, CALM)

    def cut(self, party: str) -> None:
        """Break every connection that leads to a party's proxy now."""

        async def _cut() -> None:
            for writer in list(self._open):
                if party in self._ends.get(writer, ()):
                    writer.transport.abort()

        self._call(_cut())

    @property
    def passed(self) -> dict[tuple[str, str], int]:
        """Bytes by (sender, receiver) since their weather was set."""
        return {key: way.passed for key, way in self._ways.items()}

    @property
    def struck(self) -> bool:
        """Whether a cut or a corruption that was ordered has happened."""
        return any(way.struck for way in self._ways.values())

    # --- inside: all of it runs in the loop ---------------------------------------------------------------------------

    def _way(self, sender: str, receiver: str) -> _Way:
        return self._ways.setdefault((sender, receiver), _Way())

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        for party, (host, port) in self.fronts.items():
            self._servers.append(await asyncio.start_server(self._accept(party), host, port, limit=_PIECE))

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._pumps:
            task.cancel()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def _accept(self, party: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.get_running_loop().create_task(self._connect(party, reader, writer))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

        return accepted

    async def _connect(self, party: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")
        caller = await asyncio.to_thread(self.caller, (address[0], address[1]), self.fronts[party][1])
        self._open.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            back, onward = await asyncio.open_connection(*self.backs[party], limit=_PIECE)
            self._open.add(onward)
            self._ends[writer] = self._ends[onward] = (caller, party)
            there, home = self._way(caller or "?", party), self._way(party, caller or "?")
            ends = (writer.transport, onward.transport)
            pumps = [
                asyncio.create_task(_pump(reader, onward, there, ends)),
                asyncio.create_task(_pump(back, writer, home, ends)),
            ]
            try:
                # one direction may end before the other; a break ends both
                await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
            finally:
                for task in pumps:
                    task.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass
        finally:
            for each in (writer, onward):
                if each is not None:
                    each.transport.abort()
                    self._open.discard(each)
                    self._ends.pop(each, None)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: _Way, ends: tuple[asyncio.WriteTransport, ...]
) -> None:
    """Bytes of one connection in one direction; where they cannot be delivered, both of its ends break."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_UNDER_WAY)
    delivering = asyncio.create_task(_deliver(under_way, writer, way))

    def after(task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            for end in ends:
                end.abort()

    delivering.add_done_callback(after)
    free = 0.0
    try:
        while not delivering.done():
            data = await reader.read(_PIECE)
            weather = way.weather
            free = max(free, loop.time())
            if weather.bytes_per_second is not None:
                free += len(data) / weather.bytes_per_second
            due = free + weather.latency_seconds + weather.jitter_seconds * _spread(way)
            await under_way.put((due, data))
            if not data:
                break
            if weather.bytes_per_second is not None:
                await asyncio.sleep(max(0.0, free - loop.time()))  # what is not taken stays with the sender
        await delivering
    finally:
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)


async def _deliver(under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, way: _Way) -> None:
    loop, last = asyncio.get_running_loop(), 0.0
    while True:
        due, data = await under_way.get()
        last = max(due, last)
        await asyncio.sleep(max(0.0, last - loop.time()))
        while way.weather.hole:  # noqa: ASYNC110 - weather is set from another thread
            await asyncio.sleep(_TICK)
        if not data:
            if writer.can_write_eof():
                writer.write_eof()
            return
        writer.write(_struck(data, way))
        await writer.drain()


def _struck(data: bytes, way: _Way) -> bytes:
    """The bytes after what the weather does to them; ConnectionError where it breaks the connection."""
    weather, before = way.weather, way.passed
    way.passed += len(data)
    if weather.cut_after is not None and not way.struck and way.passed > weather.cut_after:
        way.struck = True
        raise ConnectionResetError("cut")
    if weather.corrupt_after is not None and not way.struck and way.passed > weather.corrupt_after:
        way.struck = True
        place = max(0, weather.corrupt_after - before)
        return data[:place] + bytes([data[place] ^ 0x20]) + data[place + 1 :]
    return data


def _spread(way: _Way) -> float:
    """0 to 1, another value for each piece, always the same in the same order."""
    way.pieces += 1
    return (way.pieces * 0.6180339887498949) % 1.0
