"""What a computation needs from a network: authenticated, ordered messages between numbered parties."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

__all__ = ["Buffer", "Channel"]

Buffer = bytes | bytearray | memoryview


class Channel(Protocol):
    """One party's end of the connections of one session.

    Parties are numbered: the committee first, then guests, of which no two are connected. A message is named by
    (sender, step); steps count up from 0 and a step is used once per direction. The receiver always knows the length
    of the message it waits for: anything else is refused before it is stored.
    """

    index: int
    """This party's number, from 1 on."""

    parties: tuple[str, ...]
    """Names of all parties; party i is `parties[i - 1]`."""

    patience_seconds: float
    """How long a wait may take."""

    async def send(self, receiver: int, step: int, payload: Buffer) -> None:
        """Send one message.

        Raises
        ------
        PartyUnreachable
            The connection to `receiver` is gone.
        DeadlineExceeded
            The receiver did not take the message within `patience_seconds` (flow control).
        """
        ...

    async def receive(self, sender: int, step: int, size: int) -> Buffer:
        """Wait for the message (`sender`, `step`) of exactly `size` bytes.

        Raises
        ------
        PartyUnreachable
            The connection to `sender` broke, or `sender` stopped the run; names the party at fault.
        DeadlineExceeded
            Nothing arrived within `patience_seconds`; names `sender`.
        FrameRejected
            A message of another length, step or session arrived.
        """
        ...

    def working(self) -> AbstractContextManager[None]:
        """While inside, this party computes: nobody's wait in this session runs out, whoever it waits for.

        The computing itself belongs into a thread (`mpcstats.runtime.local`): a blocked event loop gives no sign of
        life, and neither does a process that is stopped or gone.
        """
        ...

    async def abort(self, error: Exception) -> None:
        """Tell all peers that this party stops, and why (code and party at fault only), then close.

        Peers that wait raise an error naming the party at fault, not the messenger.
        """
        ...

    async def close(self) -> None:
        """Close the session in good order. Idempotent."""
        ...
