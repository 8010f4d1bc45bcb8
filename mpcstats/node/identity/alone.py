"""Before a node opens its port: does another one answer for this party already, on another machine or from a copy?"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import grpc

from mpcstats.errors import ConfigurationError
from mpcstats.node.auditing.node import Auditing
from mpcstats.node.observing.logs import Log
from mpcstats.transport.tls import KeyPair, dial_options, peer_credentials

__all__ = ["check_alone", "tell_double"]

_SECONDS = 3.0


async def check_alone(identity: KeyPair, name: str, address: str, seconds: float = _SECONDS) -> None:
    """Dial the party's own address: only a node with this party's key can answer there as this party.

    Parameters
    ----------
    address : str
        What the others dial.

    Raises
    ------
    ConfigurationError
        One does.
    """
    credentials = peer_credentials(identity, identity.certificate_pem)
    async with grpc.aio.secure_channel(address, credentials, options=dial_options(name)) as channel:
        state = channel.get_state(try_to_connect=True)
        # an address that this machine cannot dial tells nothing: the other parties will notice
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while state not in {grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE}:
                    await channel.wait_for_state_change(state)
                    state = channel.get_state()
    if state == grpc.ChannelConnectivity.READY:
        raise ConfigurationError(
            f"another node with the identity of {name} answers at {address}",
            hint="stop that one first; two nodes of one party would answer for each other",
        )


def tell_double(log: Log, auditing: Auditing) -> Callable[[str], None]:
    """What happens when two nodes of another party are noticed: an alarm in the log, and a line in the audit log."""

    def tell(party: str) -> None:
        log.error("two_nodes_with_one_identity", party=party)
        auditing.refused(f"two nodes of {party}", "")

    return tell
