"""Four nodes in this process, over real connections: a member dies in a run, and the others finish without it.

The same with processes and kill -9: `test_without_a_member.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog

from mpcstats.errors import PartyPresent, PartyUnreachable
from mpcstats.node.assembly import open_house
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.control import PeerService
from mpcstats.node.governance import absence
from mpcstats.node.governance.courier import Courier
from mpcstats.node.governance.locking import make_lock
from mpcstats.node.governance.verbs import Verbs
from mpcstats.node.observing.meter import Meter
from mpcstats.node.runs.house import House
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.sdk.sandbox import PartyFiles, make_party_directories
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.lock import Cost, Proposal
from mpcstats.transport.callers import CallerCheck
from mpcstats.transport.network import PeerNetwork
from mpcstats.transport.tls import PinnedPeer, fingerprint, server_credentials, server_options
from mpcstats.wire.node_pb2_grpc import PeerStub, add_PeerServicer_to_server
from tests.governance.kit import NAMES, count_manifest, make_files, study_file, truth

LOST = "delta"
ALL = (*NAMES, LOST)
SPEC = CountSpec(by=("sex",))


@dataclass
class Node:
    """One party without its process."""

    house: House
    server: Any
    network: PeerNetwork

    async def verb(self, name: str, **arguments: Any) -> dict[str, Any]:
        return await Verbs(self.house).call(name, arguments, lambda _text: None)

    async def die(self) -> None:
        await self.server.stop(0)
        await self.network.close()

    def misled(self, name: str) -> None:
        """This node dials a closed port in place of a party."""
        self.network._channels.clear()
        self.network._roster = tuple(
            PinnedPeer(
                peer.index, peer.name, "127.0.0.1:1" if peer.name == name else peer.address, peer.certificate_pem
            )
            for peer in self.network._roster
        )


async def started(directory: PartyDirectory, roster: Roster) -> Node:
    """As `mpcstats.node.server.Node` is one, without what runs in the background."""
    own, log = directory.identity(), structlog.get_logger()
    index = roster.index(own.certificate_pem)
    peers = [peer for peer in roster.peers if peer.index != index]
    network = PeerNetwork(own, index, roster.peers, lambda _reason, _party: None, len(roster.committee))
    house, office, _ = open_house(directory, roster, network, log, Meter())
    if directory.config.name == LOST:
        house = replace(house, execute=lambda *_, **__: dies(node))
    check = CallerCheck(fingerprint(own.certificate_pem), peers, frozenset(), lambda *_: None)
    server = grpc.aio.server(interceptors=[check, network.instances], options=server_options())
    network.add_to_server(server)
    add_PeerServicer_to_server(PeerService(house), server)
    server.add_secure_port(directory.config.network.listen, server_credentials(own, peers))
    await server.start()
    stubs = {peer.name: PeerStub(network.channel_to(peer.index)) for peer in peers}
    office.courier = Courier(office.desk, stubs, log)
    node = Node(house, server, network)
    return node


async def dies(node: Node) -> None:
    """Where the run begins at this party, the party ends."""
    dying = asyncio.create_task(node.die())
    await asyncio.sleep(3600)
    await dying


@pytest.fixture
async def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, Node]]:
    monkeypatch.setattr(absence, "_PAUSE_SECONDS", 0.01)
    files = make_files(tmp_path) | {LOST: PartyFiles(role="compute")}
    found = make_party_directories(tmp_path / "parties", files, consortium="heart")
    directories = {name: PartyDirectory(path) for name, path in found.items()}
    roster = directories[LOST].roster()
    nodes = {name: await started(directories[name], roster) for name in ALL}
    try:
        yield nodes
    finally:
        for node in nodes.values():
            with contextlib.suppress(Exception):
                await node.die()
            node.house.office.desk.database.close()


async def approved(nodes: dict[str, Node]) -> str:
    for name in ALL:
        assert await nodes[name].verb("sync") == {"problems": {}}
    lead = nodes[NAMES[0]]
    terms = (await lead.verb("terms", spec=SPEC.model_dump(mode="json")))["terms"]
    lock = make_lock(SPEC, lead.house.roster, terms, count_manifest(2), Cost(rounds=20), ())
    proposal = Proposal(study=study_file(SPEC), lock=lock).model_dump(mode="json")
    study = (await lead.verb("propose", proposal=proposal))["study"]
    for name in NAMES:
        await nodes[name].verb("decide", study=study, decision="approve")
    return str(study)


async def test_the_others_finish_when_nobody_reaches_it(nodes: dict[str, Node], tmp_path: Path) -> None:
    study = await approved(nodes)
    with pytest.raises(PartyUnreachable, match="--without delta") as lost:
        await nodes["northfield"].verb("run", study=study)
    assert lost.value.party == LOST
    old = nodes["northfield"].house.office.vault.runs()
    assert len(old) == 1

    # it is there again, and one of the three sees it
    own, others = nodes[LOST].house, [peer for peer in nodes[LOST].house.roster.peers if peer.name != LOST]
    identity = PartyDirectory(tmp_path / "parties" / LOST).identity()
    check = CallerCheck(fingerprint(identity.certificate_pem), others, frozenset(), lambda *_: None)
    again = grpc.aio.server(interceptors=[check], options=server_options())
    add_PeerServicer_to_server(PeerService(own), again)
    (address,) = [peer.address for peer in own.roster.peers if peer.name == LOST]
    again.add_secure_port(address, server_credentials(identity, others))
    await again.start()
    nodes["northfield"].misled(LOST)
    nodes["westbay"].misled(LOST)
    with pytest.raises(PartyPresent, match="answers lakeside") as there:
        await nodes["northfield"].verb("run", study=study, without=[LOST])
    assert there.value.party == LOST
    assert nodes["northfield"].house.office.vault.runs() == old
    await again.stop(0)

    line = await nodes["northfield"].verb("run", study=study, without=[LOST])
    assert (line["status"], line["run"]["without"]) == ("computed", [LOST])
    assert [node.house.office.vault.runs() for name, node in nodes.items() if name != LOST] == [
        [line["run"]["run"]]
    ] * 3
    for name in NAMES:
        await nodes[name].verb("decide", study=study, decision="release")
    path = Path((await nodes["westbay"].verb("result", study=study))["path"])
    outcome = outcome_from_bytes(path.read_bytes())
    shown = dict(outcome.tables["counts"].set_index("sex")["count"].astype(int))
    assert shown == {sex: 5 * round(people / 5) for sex, people in truth(tmp_path).items()}
    assert (outcome.run["committee"], outcome.run["threshold"]) == ([*NAMES], 1)
    assert set(outcome.run["certificate"]["signatures"]) == set(NAMES)
