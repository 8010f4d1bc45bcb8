"""What shows a running node to its operator: health, metrics, the state of the peers, refused and surplus calls."""

from __future__ import annotations

import asyncio
import time

from mpcstats.node.auditing.node import Auditing
from mpcstats.node.control import CONTROL_SERVICE
from mpcstats.node.observing.health import HEALTH_SERVICE, Health
from mpcstats.node.observing.metrics import MetricsPage
from mpcstats.node.observing.peers import PeerWatch
from mpcstats.node.runs.house import House
from mpcstats.transport.callers import CallerCheck
from mpcstats.transport.rates import Rates
from mpcstats.transport.tls import PinnedPeer

__all__ = ["Observing"]

_SILENT_SECONDS = 60.0


class Observing:
    """Of one node.

    Parameters
    ----------
    house : House
    auditing : Auditing
    peers : list of PinnedPeer
        The other parties.

    Attributes
    ----------
    health : Health
    peers : PeerWatch
    """

    def __init__(self, house: House, auditing: Auditing, peers: list[PinnedPeer]) -> None:
        self._house, self._auditing, self._others = house, auditing, peers
        self._silent_until: dict[tuple[int, str], float] = {}
        self._task: asyncio.Task[None] | None = None
        self._page: MetricsPage | None = None
        self.health = Health()
        self.peers = PeerWatch(house.network, house.roster.digest, {peer.index: peer.name for peer in peers})

    def caller_check(self, own_fingerprint: bytes) -> CallerCheck:
        """Who may call what, and how often."""
        bounds = self._house.bounds
        return CallerCheck(
            own_fingerprint,
            self._others,
            frozenset({CONTROL_SERVICE}),
            self._refused,
            **self._auditing.callers,
            shared_services=frozenset({HEALTH_SERVICE}),
            rates=Rates(bounds.requests_per_second, bounds.calls_at_once),
            on_flood=self._flood,
        )

    def start(self, metrics: str | None) -> None:
        """Serve metrics, if an address is given, and look after the peers for them.

        Raises
        ------
        ConfigurationError
            The address is taken.
        """
        if metrics is None:
            return
        house = self._house
        self._page = MetricsPage(house.meter, house.jobs, self.peers, house.vitals)
        self._page.serve(metrics)
        self._task = asyncio.create_task(self.peers.run())
        house.log.info("metrics", address=metrics)

    async def stop(self) -> None:
        """Serve no more metrics."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._page is not None:
            await asyncio.to_thread(self._page.close)

    def _refused(self, reason: str, method: str) -> None:
        self._house.meter.refused_call(reason)
        self._auditing.refused(reason, method)

    def _flood(self, caller: int, method: str) -> None:
        """One line a minute for each caller and procedure, whatever comes."""
        names = self._house.roster.names
        party = names[caller - 1] if caller > 0 else "others"
        self._house.meter.flood(party)
        now = time.monotonic()
        if now >= self._silent_until.get((caller, method), 0.0):
            self._silent_until[caller, method] = now + _SILENT_SECONDS
            self._house.log.warning("too_many_calls", party=party, method=method)
