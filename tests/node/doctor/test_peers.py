"""The way to a peer: every failure that gRPC reports as UNAVAILABLE has its own name, its culprit and a next step."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.node.consortium.ping import ECHOES, MAX_PAYLOAD, PingDesk
from mpcstats.node.doctor import talk
from mpcstats.node.doctor.findings import Finding, exit_code
from mpcstats.node.doctor.peers import check_peers, own_side, visit
from mpcstats.node.identity.keys import create_identity
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.setup import make_card
from mpcstats.study.files.writing import toml_block
from mpcstats.testing.processes import PartyFiles, make_party_directories
from mpcstats.transport.tls import KeyPair, dial_options, peer_credentials
from mpcstats.wire.node_pb2 import PingRequest
from mpcstats.wire.node_pb2_grpc import PeerStub
from tests.node.doctor.servers import make_pair, node, raw_server, tls_behaviour

SECONDS = 2.0


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    files = {name: PartyFiles(role="compute" if name == "gamma" else "data") for name in ("alpha", "beta", "gamma")}
    return make_party_directories(tmp_path_factory.mktemp("doctor"), files)


class World:
    """alpha looks at beta; gamma does not run."""

    def __init__(self, parties: dict[str, Path], folder: Path) -> None:
        self.alpha = folder / "alpha"
        shutil.copytree(parties["alpha"], self.alpha)
        self.folder = folder
        self.beta = PartyDirectory(parties["beta"])
        self.pair, self.roster = self.beta.identity(), self.beta.roster()
        self.gamma = PartyDirectory(parties["gamma"]).identity()
        self.port = int(self.beta.config.network.listen.split(":")[1])

    def look(self, seconds: float = SECONDS) -> list[Finding]:
        """What alpha finds on its way to beta."""
        own, targets = own_side(PartyDirectory(self.alpha))
        return visit(next(target for target in targets if target.name == "beta"), own, seconds).findings

    def problem(self, seconds: float = SECONDS) -> Finding:
        """The one problem on the way."""
        (found,) = [finding for finding in self.look(seconds) if finding.status == "problem"]
        assert (found.party, bool(found.whose), bool(found.next)) == ("beta", True, True) or found.code == "E1701"
        return found

    def pin(self, pair: KeyPair) -> None:
        """Put another certificate for beta into alpha's roster, valid or not."""
        path = self.alpha / "roster.toml"
        old = toml_block(self.pair.certificate_pem.decode())
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, toml_block(pair.certificate_pem.decode())))

    def serve(self, **options: Any) -> contextlib.AbstractContextManager[None]:
        """beta's node."""
        return node(self.port, options.pop("pair", self.pair), self.roster, "beta", **options)

    def raw(self, behave: Any) -> contextlib.AbstractContextManager[None]:
        return raw_server(self.port, behave)


@pytest.fixture
def world(parties: dict[str, Path], tmp_path: Path) -> World:
    return World(parties, tmp_path)


def codes(findings: list[Finding]) -> set[str]:
    return {finding.code for finding in findings if finding.status == "problem"}


def test_a_good_peer(world: World) -> None:
    with world.serve():
        found = world.look()
    assert [(finding.check, finding.status) for finding in found] == [
        ("dns", "ok"),
        ("tcp", "ok"),
        ("key", "ok"),
        ("certificate", "ok"),
        ("tls", "ok"),
        ("protocol", "ok"),
        ("version", "ok"),
        ("analyses", "ok"),
        ("roster", "ok"),
        ("clock", "ok"),
        ("round trip", "ok"),
        ("bandwidth", "ok"),
    ]
    measured = {finding.check: finding.value for finding in found if finding.value is not None}
    assert abs(measured["clock"]) < 500
    assert 0 < measured["round trip"] < 200
    assert measured["bandwidth"] > 10
    assert exit_code(found) == 0


class TestTheLine:
    def test_nobody_listens(self, world: World) -> None:
        found = world.problem()
        assert (found.code, found.check, found.whose) == ("E1702", "tcp", "beta")
        assert "party start" in found.next

    def test_a_name_that_does_not_resolve(self, world: World) -> None:
        path = world.alpha / "roster.toml"
        path.write_text(path.read_text().replace(f"127.0.0.1:{world.port}", "mpc.no-such-host.invalid:4710"))
        found = world.problem(10.0)
        assert (found.code, found.check) == ("E1701", "dns")
        assert "mpc.no-such-host.invalid" in found.what

    def test_a_resolver_that_hangs(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(3))
        began = time.monotonic()
        assert world.problem(0.3).code == "E1701"
        assert time.monotonic() - began < 2

    def test_packets_are_dropped(self, world: World) -> None:
        """A port whose queue of new connections is full drops them, as a firewall does."""
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", world.port))
            listener.listen(0)
            for _ in range(4):
                line = stack.enter_context(socket.socket())
                line.setblocking(False)
                line.connect_ex(("127.0.0.1", world.port))
            time.sleep(0.05)
            found = world.problem(0.5)
        assert found.code == "E1703"
        assert "firewall" in found.whose

    def test_connected_but_silent(self, world: World) -> None:
        began = time.monotonic()
        with world.raw(lambda line: None):
            found = world.problem(0.5)
        assert (found.code, found.check) == ("E1704", "tls")
        assert time.monotonic() - began < 3

    def test_silent_after_tls(self, world: World) -> None:
        def behave(line: socket.socket) -> None:
            with context.wrap_socket(line, server_side=True) as wrapped:
                wrapped.recv(1024)
                done.wait(5)

        tls_behaviour(world.folder, world.pair)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(world.folder / "server.crt", world.folder / "server.key")
        done = threading.Event()
        with world.raw(behave):
            found = world.look(0.5)
            done.set()
        assert codes(found) == {"E1704"}
        assert [finding.check for finding in found if finding.status == "ok"] == ["dns", "tcp", "key", "certificate"]

    @pytest.mark.parametrize(
        "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 40, b""]
    )
    def test_no_tls_there(self, world: World, answer: bytes) -> None:
        def behave(line: socket.socket) -> None:
            line.recv(1024)
            line.sendall(answer)
            line.shutdown(socket.SHUT_RDWR)

        with world.raw(behave):
            found = world.problem()
        assert (found.code, found.check) == ("E1705", "tls")

    def test_another_protocol_inside_tls(self, world: World) -> None:
        with world.raw(tls_behaviour(world.folder, world.pair, "http/1.1", b"HTTP/1.1 400 Bad Request\r\n\r\n")):
            assert world.problem().code == "E1712"


class TestTheirKey:
    def test_another_key_under_its_name(self, world: World) -> None:
        with world.serve(pair=make_pair("beta")):
            found = world.problem()
        assert (found.code, found.whose) == ("E1706", "beta")
        assert "by telephone" in found.next
        assert exit_code([found]) == 6

    def test_another_party_of_the_roster_answers(self, world: World) -> None:
        with world.serve(pair=world.gamma):
            found = world.problem()
        assert (found.code, found.what) == ("E1706", "gamma answers at the address of beta")

    def test_the_address_leads_back(self, world: World) -> None:
        with world.serve(pair=PartyDirectory(world.alpha).identity()):
            found = world.problem()
        assert found.code == "E1706"
        assert "leads back to this party" in found.what

    def test_a_revoked_key(self, world: World) -> None:
        create_identity(world.folder / "old", "beta")
        old = KeyPair(*((world.folder / "old" / "keys" / name).read_bytes() for name in ("node.key", "node.crt")))
        card = make_card(world.beta.path).model_copy(update={"certificate": old.certificate_pem.decode()})
        earlier = f"version = 7\n[[party]]\n{card.to_toml().split('kind = ')[1].split(chr(10), 1)[1]}"
        (world.alpha / "state" / "rosters" / "earlier.toml").write_text(earlier)
        with world.serve(pair=old):
            found = world.problem()
        assert (found.code, found.whose) == ("E1710", "beta")
        assert "revoked: beta had it in version 7" in found.what
        assert exit_code([found]) == 6

    def test_made_for_another_name(self, world: World) -> None:
        with world.serve(pair=make_pair("beta", dns="proxy.hospital.example")):
            found = world.problem()
        assert found.code == "E1709"
        assert "proxy.hospital.example" in found.what
        assert "proxy" in found.next

    def test_the_pinned_key_with_another_name(self, world: World) -> None:
        pair = make_pair("beta", dns="gamma.party.mpcstats")
        world.pin(pair)
        with world.serve(pair=pair):
            assert world.problem().code == "E1709"

    @pytest.mark.parametrize(
        ("first", "last", "code", "words"),
        [(-9, -2, "E1707", "2.0 days ago"), (3, 90, "E1708", "in 3.0 days")],
    )
    def test_expired_or_not_valid_yet(self, world: World, first: int, last: int, code: str, words: str) -> None:
        pair = make_pair("beta", first, last)
        world.pin(pair)
        with world.serve(pair=pair):
            found = world.look()
        assert codes(found) == {code}
        assert words in next(finding.what for finding in found if finding.code == code)
        assert exit_code(found) == 5
        # the other certificates of the roster are looked at all the same
        assert {finding.party for finding in check_peers(PartyDirectory(world.alpha), 1.0)} == {"beta", "gamma"}

    def test_expires_soon(self, world: World) -> None:
        pair = make_pair("beta", -9, 12)
        world.pin(pair)
        with world.serve(pair=pair):
            found = [finding for finding in world.look() if finding.code == "E1707"]
        assert [finding.status for finding in found] == ["warning"]

    def test_tls_before_1_3_tells_the_same(self, world: World) -> None:
        other = tls_behaviour(world.folder, make_pair("beta"), newest=ssl.TLSVersion.TLSv1_2)
        with world.raw(other):
            assert world.problem().code == "E1706"


class TestOurKey:
    def test_their_roster_lacks_us(self, world: World) -> None:
        with world.serve(trusted=[peer for peer in world.roster.peers if peer.name == "gamma"]):
            found = world.problem()
        assert (found.code, found.check) == ("E1711", "accepted")
        assert "its roster lacks it, or it was revoked there" in found.what
        assert exit_code([found]) == 6

    def test_ours_has_expired(self, world: World) -> None:
        pair = make_pair("alpha", -9, -1)
        path, old = world.alpha / "roster.toml", (world.alpha / "keys" / "node.crt").read_text().strip()
        path.write_text(path.read_text().replace(old, pair.certificate_pem.decode().strip()))
        (world.alpha / "keys" / "node.crt").write_bytes(pair.certificate_pem)
        (world.alpha / "keys" / "node.key").write_bytes(pair.key_pem)
        with world.serve():
            found = world.problem()
        assert (found.code, found.whose) == ("E1711", "us")
        assert "which expired 1.0 days ago" in found.what
        assert "party rotate" in found.next

    def test_we_are_in_no_roster(self, world: World) -> None:
        shutil.rmtree(world.alpha / "keys")
        create_identity(world.alpha, "alpha")
        with world.serve():
            found = world.problem()
        assert (found.code, found.whose) == ("E1711", "us")
        assert "our own roster does not list it either" in found.what

    def test_we_have_none(self, world: World) -> None:
        shutil.rmtree(world.alpha / "keys")
        (found,) = check_peers(PartyDirectory(world.alpha), SECONDS)
        assert (found.code, found.status) == ("E1725", "problem")

    def test_an_older_tls_refuses_within_the_handshake(self, world: World) -> None:
        tls_behaviour(world.folder, world.pair)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(world.folder / "server.crt", world.folder / "server.key")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED  # and trusts nobody
        with world.raw(lambda line: context.wrap_socket(line, server_side=True).close()):
            assert world.problem().code == "E1711"


class TestTheNode:
    @pytest.mark.parametrize(
        ("field", "value", "code", "words"),
        [
            ("protocol", 2, "E1712", "speaks version 2 of the protocol, we speak 1"),
            ("protocol", 0, "E1712", "before 1"),
            ("version", "9.9", "E1713", "runs mpcstats 9.9"),
            ("registry_digest", b"\1" * 32, "E1715", "other analyses"),
            ("roster_digest", b"\1" * 32, "E1714", "another roster of the same version"),
            ("name", "delta", "E1712", "calls itself 'delta'"),
        ],
    )
    def test_what_differs(self, world: World, field: str, value: Any, code: str, words: str) -> None:
        with world.serve(change=lambda reply: setattr(reply, field, value)):
            found = world.problem()
        assert found.code == code
        assert words in found.what

    @pytest.mark.parametrize(("version", "whose"), [(0, "beta"), (9, "us")])
    def test_whose_roster_is_out_of_date(self, world: World, version: int, whose: str) -> None:
        def change(reply: Any) -> None:
            reply.roster_digest, reply.roster_version = b"\1" * 32, version

        with world.serve(change=change):
            found = world.problem()
        assert (found.code, found.whose) == ("E1714", whose)

    def test_a_protocol_without_our_calls(self, world: World) -> None:
        with world.serve(with_service=False):
            found = world.problem()
        assert (found.code, found.check) == ("E1712", "protocol")

    @pytest.mark.parametrize(("seconds", "status"), [(10, "warning"), (-3600, "problem")])
    def test_clocks_that_differ(self, world: World, seconds: int, status: str) -> None:
        def change(reply: Any) -> None:
            reply.time_microseconds += seconds * 1_000_000

        with world.serve(change=change):
            (found,) = [finding for finding in world.look() if finding.code == "E1716"]
        assert found.status == status
        assert found.value == pytest.approx(seconds * 1000, abs=500)
        assert ("ahead" if seconds > 0 else "behind") in found.what

    def test_a_slow_line(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(talk, "_SLOW_MBIT", 1e9)
        monkeypatch.setattr(talk, "_SLOW_TRIP", 0.0)
        with world.serve():
            found = [finding for finding in world.look() if finding.status == "warning"]
        assert [(finding.check, finding.code) for finding in found] == [("round trip", "E1717"), ("bandwidth", "E1717")]

    def test_a_peer_that_gives_nothing_back(self, world: World) -> None:
        with world.serve(change=lambda reply: setattr(reply, "payload", b"")):
            assert "not measured" in world.look()[-1].what


class TestPing:
    @pytest.fixture
    def stub(self, world: World) -> Iterator[Any]:
        own = PartyDirectory(world.alpha).identity()
        credentials = peer_credentials(own, world.pair.certificate_pem)
        with (
            world.serve(),
            grpc.secure_channel(f"127.0.0.1:{world.port}", credentials, options=dial_options("beta")) as channel,
        ):
            yield PeerStub(channel)

    def test_payloads_are_bounded_in_size_and_number(self, stub: Any) -> None:
        payload = b"x" * MAX_PAYLOAD
        for _ in range(ECHOES):
            assert stub.Ping(PingRequest(payload=payload), timeout=5).payload == payload
        assert stub.Ping(PingRequest(payload=payload), timeout=5).payload == b""
        with pytest.raises(grpc.RpcError) as caught:
            stub.Ping(PingRequest(payload=payload + b"x"), timeout=5)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert stub.Ping(PingRequest(), timeout=5).name == "beta"

    async def test_each_caller_has_its_own_number(self) -> None:
        desk = PingDesk("beta", SimpleNamespace(digest=b"", version=1))  # type: ignore[arg-type]
        for _ in range(ECHOES):
            assert (await desk.answer(PingRequest(payload=b"x"), "alpha")).payload == b"x"
        assert (await desk.answer(PingRequest(payload=b"x"), "alpha")).payload == b""
        assert (await desk.answer(PingRequest(payload=b"x"), "gamma")).payload == b"x"


class TestTogether:
    """alpha looks at beta and gamma."""

    def both(self, world: World, **of_gamma: Any) -> list[Finding]:
        gamma = next(member for member in world.roster.party if member.name == "gamma")
        port = int(gamma.address.split(":")[1])
        with world.serve(**of_gamma.pop("beta", {})), node(port, world.gamma, world.roster, "gamma", **of_gamma):
            return check_peers(PartyDirectory(world.alpha), SECONDS)

    def test_one_does_not_take_our_key(self, world: World) -> None:
        found = self.both(world, trusted=[peer for peer in world.roster.peers if peer.name == "beta"])
        assert found[-1].whose == "gamma"
        assert "beta take our key, gamma do not" in found[-1].what

    def test_nobody_takes_our_key(self, world: World) -> None:
        others = {name: [peer for peer in world.roster.peers if peer.name == name] for name in ("beta", "gamma")}
        found = self.both(world, trusted=others["beta"], beta={"trusted": others["gamma"]})
        assert (found[-1].whose, "nobody takes our key" in found[-1].what) == ("us", True)

    def test_our_clock_is_off(self, world: World) -> None:
        def change(reply: Any) -> None:
            reply.time_microseconds += 9_000_000

        found = self.both(world, change=change, beta={"change": change})
        assert (found[-1].whose, "ours is off" in found[-1].what) == ("us", True)
        assert found[-1].party == ""


@pytest.mark.parametrize(("served", "code"), [("good", 5), ("wrong key", 6)])
def test_the_command(world: World, served: str, code: int) -> None:
    """gamma does not run."""
    with world.serve(pair=world.pair if served == "good" else make_pair("beta")):
        arguments = ["doctor", "--party", str(world.alpha), "--peers", "--patience", "2"]
        table = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
        plain = CliRunner().invoke(app, [*arguments, "--json"])
    assert (table.exit_code, plain.exit_code) == (code, code)
    assert "E1702" in table.stdout
    found = json.loads(plain.stdout)
    assert found["exit_code"] == code
    assert {finding["party"] for finding in found["findings"]} == {"", "beta", "gamma"}
