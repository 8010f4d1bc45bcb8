"""Talking to one's own node, from a notebook or the command line. The key in the party's directory is the ticket."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mpcstats.errors import FrameRejected, MpcStatsError, PartyUnreachable
from mpcstats.node.consortium.roster import address_parts
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.spec import AnalysisSpec, canonical_json

__all__ = ["NodeClient"]

_STATUS_SECONDS = 10.0


class NodeClient:
    """The operator's side of a node's control service.

    Parameters
    ----------
    party : path
        The party's directory.

    Raises
    ------
    ConfigurationError
        The directory has no usable `party.toml` or keys.
    """

    def __init__(self, party: str | Path) -> None:
        self.directory = PartyDirectory(Path(party))
        self._identity = self.directory.identity()

    @property
    def name(self) -> str:
        """The party's name."""
        return self.directory.config.name

    def run(self, spec: AnalysisSpec, progress: Callable[[str], None] = lambda text: None) -> Outcome:
        """Run an analysis with all parties and wait for the outcome.

        Parameters
        ----------
        spec : AnalysisSpec
        progress : function of str
            Called with a sentence whenever something happens.

        Raises
        ------
        MpcStatsError
            The error that ended the run, of the class it had at the node; names the party at fault.
        """
        from mpcstats.node.failures import from_operator_failure
        from mpcstats.wire.node_pb2 import RunRequest

        content = bytearray()
        with self._stub() as stub:
            # bounded by the node: every wait of a run is
            for event in stub.Run(RunRequest(spec_json=canonical_json(spec).decode())):
                kind = event.WhichOneof("content")
                if kind == "progress":
                    progress(event.progress)
                elif kind == "outcome":
                    content += event.outcome
                elif kind == "failure":
                    raise from_operator_failure(event.failure)
                elif kind == "done" and hashlib.sha256(content).digest() == event.done.outcome_digest:
                    return outcome_from_bytes(content)
        raise FrameRejected("the outcome is not complete", party=self.name)

    def govern(
        self, verb: str, progress: Callable[[str], None] = lambda text: None, **arguments: Any
    ) -> dict[str, Any]:
        """Do something about studies, see `mpcstats.node.governance.verbs`.

        Parameters
        ----------
        verb : str
            Such as "inbox" or "propose".
        arguments
            Plain JSON values.

        Raises
        ------
        MpcStatsError
            The error that the verb ended with, of the class it had at the node.
        """
        from mpcstats.node.failures import from_operator_failure
        from mpcstats.wire.node_pb2 import GovernRequest

        content = bytearray()
        with self._stub() as stub:
            # bounded by the node: every wait of a verb is
            for event in stub.Govern(GovernRequest(verb=verb, arguments_json=json.dumps(arguments))):
                kind = event.WhichOneof("content")
                if kind == "progress":
                    progress(event.progress)
                elif kind == "answer":
                    content += event.answer
                elif kind == "failure":
                    raise from_operator_failure(event.failure)
        try:
            answer = json.loads(content)
        except ValueError:
            raise FrameRejected("the answer is not complete", party=self.name) from None
        assert isinstance(answer, dict)
        return answer

    def status(self) -> dict[str, Any]:
        """The state of the node and of its connections, as plain values."""
        from mpcstats.wire.node_pb2 import StatusRequest

        with self._stub() as stub:
            reply = stub.Status(StatusRequest(), timeout=_STATUS_SECONDS)
        peers = [
            {
                "name": peer.name,
                "reachable": peer.reachable,
                "same_roster": peer.same_roster,
                "round_trip_ms": peer.round_trip_microseconds / 1000 if peer.reachable else None,
                "version": peer.version or None,
                "clock_skew_ms": peer.clock_skew_milliseconds if peer.reachable else None,
            }
            for peer in reply.peers
        ]
        return {
            "name": reply.name,
            "role": reply.role,
            "version": reply.version,
            "consortium": reply.consortium,
            "roster_digest": reply.roster_digest.hex(),
            "uptime_seconds": reply.uptime_seconds,
            "current_run": reply.current_run or None,
            "queued_runs": reply.queued_runs,
            "finished_runs": reply.finished_runs,
            "failed_runs": reply.failed_runs,
            "peers": peers,
        }

    def stop(self) -> bool:
        """Ask the node to end; True when a run is in progress, which may finish first."""
        from mpcstats.wire.node_pb2 import StopRequest

        with self._stub() as stub:
            return bool(stub.Stop(StopRequest(), timeout=_STATUS_SECONDS).busy)

    @contextmanager
    def _stub(self) -> Iterator[Any]:
        import grpc

        from mpcstats.transport.tls import dial_options, peer_credentials
        from mpcstats.wire.node_pb2_grpc import ControlStub

        address = _local(self.directory.config.network.listen)
        credentials = peer_credentials(self._identity, self._identity.certificate_pem)
        try:
            with grpc.secure_channel(address, credentials, options=dial_options(self.name)) as channel:
                yield ControlStub(channel)  # type: ignore[no-untyped-call]
        except grpc.RpcError as error:
            raise self._no_answer(error, address) from None

    def _no_answer(self, error: Any, address: str) -> MpcStatsError:
        code = error.code().name
        if code == "UNAVAILABLE":
            return PartyUnreachable(
                f"no node answers at {address}", party=self.name, hint=f"mpcstats party start {self.directory.path}"
            )
        return PartyUnreachable(
            f"the node at {address} did not answer ({code})", party=self.name, hint=f"see {self.directory.log_file}"
        )


def _local(listen: str) -> str:
    """The address to dial on this machine."""
    host, port = address_parts(listen)
    return f"127.0.0.1:{port}" if host == "0.0.0.0" else f"[::1]:{port}" if host == "[::]" else listen  # noqa: S104
