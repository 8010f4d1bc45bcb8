"""Notices: delivered at least once, never with a result, and a server that is down makes nobody wait."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import hmac
import http.server
import json
import socket
import ssl
import threading
import time
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from mpcstats.errors import ConfigurationError
from mpcstats.node.notices import delivery as notify_delivery
from mpcstats.node.notices import queue as notify
from mpcstats.node.notices.config import EVENTS, NotifyTarget
from mpcstats.node.notices.delivery import Delivery
from mpcstats.node.notices.queue import Notifier, key_expiring, run_notifier
from mpcstats.node.state.database import Database

SECRET, PASSWORD = "5ec2e7" * 8, "open-sesame-42"
WEBHOOK = {"kind": "webhook", "name": "chat", "secret_file": "hook.secret"}
EMAIL = {"kind": "email", "name": "dpo", "to": ["dpo@north.example", "it@north.example"], "sender": "mpc@north.example"}
FACTS = {"study": "ab" * 32, "name": "monthly-hf", "state": "held", "next": "mpcstats schedule history monthly-hf"}


def target(plain: dict) -> NotifyTarget:
    return TypeAdapter(NotifyTarget).validate_python(plain)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what comes, answers what the test says."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), body))
        code = self.server.answers.pop(0) if self.server.answers else 204
        self.send_response(code)
        if 300 <= code < 400:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def receiver(context: ssl.SSLContext | None = None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads, server.got, server.answers = True, [], []
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class MailServer:
    """The little of SMTP that a client needs; one connection after the other."""

    def __init__(self, context: ssl.SSLContext | None, starttls: bool) -> None:
        self.context, self.starttls, self.mails, self.logins, self.commands = context, starttls, [], [], []
        self.refuse: set[str] = set()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with contextlib.ExitStack() as stack, contextlib.suppress(OSError, ValueError):
                stack.enter_context(connection)
                if self.context is not None and not self.starttls:
                    connection = stack.enter_context(self.context.wrap_socket(connection, server_side=True))
                self._talk(connection, stack)

    def _talk(self, connection: socket.socket, stack: contextlib.ExitStack) -> None:
        file = stack.enter_context(connection.makefile("rb"))

        def say(text: str) -> None:
            connection.sendall(text.encode() + b"\r\n")

        say("220 here")
        while line := file.readline().decode().strip():
            verb = line.split()[0].upper()
            self.commands.append(verb)
            if verb == "EHLO":
                say("250-here\r\n250-AUTH PLAIN" + ("\r\n250 STARTTLS" if self.starttls else "\r\n250 HELP"))
            elif verb == "STARTTLS":
                say("220 go")
                connection = stack.enter_context(self.context.wrap_socket(connection, server_side=True))
                file = stack.enter_context(connection.makefile("rb"))
            elif verb == "AUTH":
                self.logins.append(line)
                say("535 no" if "AUTH" in self.refuse else "235 yes")
            elif verb == "DATA":
                say("354 go")
                self.mails.append(b"".join(iter(file.readline, b".\r\n")).decode())
                say("250 taken")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 fine")


@pytest.fixture(scope="module")
def own_certificate(tmp_path_factory) -> Path:
    """A certificate for 127.0.0.1, with its key, in one file."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    now = datetime.datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=20))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(pem) + private)
    return path


@pytest.fixture
def server_context(own_certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own_certificate)
    return context


class Desk:
    """A notifier with a clock of its own, and everything that it logs."""

    def __init__(self, folder: Path, *plain: dict, database: Database | None = None) -> None:
        for name, text in (("hook.secret", SECRET), ("mail.password", PASSWORD)):
            path = folder / name
            path.write_text(text + "\n")
            path.chmod(0o600)
        self.targets = [target(one) for one in plain]
        self.time = datetime.datetime(2027, 3, 1, 5, 0, tzinfo=UTC)
        self.lines: list[tuple[str, dict]] = []
        self.database = database or Database.in_memory("north")
        delivery = Delivery(folder, "north", self.targets)
        self.notifier = Notifier(self.database, "north", "cvd", self.targets, delivery, lambda: self.time, self)

    def info(self, event: str, **facts) -> None:
        self.lines.append((event, facts))

    warning = error = info

    def deliver(self, **later) -> list[str]:
        """Let time pass and deliver; what was logged."""
        self.time += timedelta(**later)
        before = len(self.lines)
        asyncio.run(self.notifier.deliver())
        return [event for event, _ in self.lines[before:]]


def test_a_notice_is_posted_once_and_signed(tmp_path):
    with receiver() as server:
        desk = Desk(tmp_path, WEBHOOK | {"url": f"http://127.0.0.1:{server.server_port}/hook?x=1", "events": ["held"]})
        assert desk.notifier.tell("held", subject="s1", due=desk.time, **FACTS) == 1
        assert desk.notifier.tell("held", subject="s1", due=desk.time, **FACTS) == 0  # the same
        assert desk.notifier.tell("released", subject="s1", **FACTS) == 0  # nobody wants it
        assert desk.deliver() == ["notice_delivered"]
        assert desk.deliver(days=1) == []
    ((path, headers, body),) = server.got
    assert path == "/hook?x=1"
    told = json.loads(body)
    assert told == {
        "event": "held", "node": "north", "consortium": "cvd", "time": "2027-03-01T05:00:00Z",
        "due": "2027-03-01T05:00:00Z", "id": headers["Idempotency-Key"], **FACTS,
    }  # fmt: skip
    signed = headers["Mpcstats-Timestamp"].encode() + b"." + body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["Mpcstats-Signature"] == f"sha256={expected}"


def test_it_is_tried_again_with_the_same_key_until_it_is_taken_over_a_restart(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'state.db'}", "north")
    with receiver() as server:
        plain = WEBHOOK | {"url": f"http://localhost:{server.server_port}/"}
        server.answers = [500, 302, 404]
        desk = Desk(tmp_path, plain, database=database)
        desk.notifier.tell("held", subject="s1", **FACTS)
        assert desk.deliver() == ["notice_failed"]
        assert desk.deliver(seconds=20) == []  # not yet
        assert desk.deliver(seconds=10) == ["notice_failed"]
        again = Desk(tmp_path, plain, database=database)
        again.time = desk.time
        assert again.deliver(seconds=60) == ["notice_failed"]
        assert again.deliver(seconds=119) == []
        assert again.deliver(seconds=1) == ["notice_delivered"]
    keys = {headers["Idempotency-Key"] for _, headers, _ in server.got}
    assert len(server.got) == 4  # the redirect was not followed
    assert len(keys) == 1
    assert [facts["reason"] for _, facts in desk.lines] == [
        "the server answered 500",
        "the server answered 302: redirects are not followed",
    ]
    database.close()


def test_a_server_that_stays_down_is_asked_less_and_less_and_then_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(notify, "MOST_WAITING", 3)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    desk = Desk(tmp_path, WEBHOOK | {"url": f"http://127.0.0.1:{port}/"})
    assert [desk.notifier.tell("held", subject=str(number), **FACTS) for number in range(5)] == [1, 1, 1, 0, 0]
    assert [event for event, _ in desk.lines] == ["notice_dropped"] * 2
    tries = sum(len(desk.deliver(minutes=60)) for _ in range(24 * 7))
    assert tries == 3 * notify.MOST_ATTEMPTS
    assert desk.lines[-1][1]["reason"].startswith("the server cannot be reached")
    desk.time += timedelta(days=100)
    desk.notifier.forget_old()
    assert desk.notifier.tell("held", subject="0", **FACTS) == 1


def test_a_server_that_hangs_delays_neither_the_others_nor_the_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(notify, "DELIVERY_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as hangs, receiver() as server:
        desk = Desk(
            tmp_path,
            WEBHOOK | {"name": "dead", "url": f"http://127.0.0.1:{hangs.getsockname()[1]}/"},
            WEBHOOK | {"url": f"http://127.0.0.1:{server.server_port}/"},
        )

        async def session() -> float:
            stop = asyncio.Event()
            task = asyncio.create_task(run_notifier(desk.notifier, stop, poll_seconds=0.01))
            started = time.monotonic()
            assert desk.notifier.tell("held", subject="s1", **FACTS) == 2
            queued = time.monotonic() - started
            while len(desk.lines) < 2:
                await asyncio.sleep(0.01)
            monkeypatch.setattr(notify, "DELIVERY_SECONDS", 60)
            desk.time += timedelta(minutes=1)
            await asyncio.sleep(0.1)  # hangs again
            stop.set()
            started = time.monotonic()
            await task
            assert time.monotonic() - started < 1
            return queued

        assert asyncio.run(session()) < 1
        assert len(server.got) == 1
        assert ("notice_failed", "took more than 0.3 s") in [
            (event, facts.get("reason")) for event, facts in desk.lines
        ]


def test_https_with_a_certificate_that_is_trusted_and_one_that_is_not(tmp_path, own_certificate, server_context):
    with receiver(server_context) as server:
        plain = WEBHOOK | {"url": f"https://127.0.0.1:{server.server_port}/"}
        trusting = Desk(tmp_path, plain | {"ca_file": str(own_certificate)})
        trusting.notifier.tell("held", subject="s1", **FACTS)
        assert trusting.deliver() == ["notice_delivered"]
        suspicious = Desk(tmp_path, plain)
        suspicious.notifier.tell("held", subject="s1", **FACTS)
        suspicious.deliver()
        assert suspicious.lines[0][1]["reason"] == "the certificate of the server is not trusted"
    assert len(server.got) == 1


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "::ffff:169.254.169.254"])
def test_a_name_that_stands_for_a_link_local_address_is_not_dialled(tmp_path, monkeypatch, address):
    def looked_up(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(notify_delivery.socket, "getaddrinfo", looked_up)
    desk = Desk(tmp_path, WEBHOOK | {"url": "https://hooks.example.org/"})
    desk.notifier.tell("held", subject="s1", **FACTS)
    desk.deliver()
    assert "not allowed" in desk.lines[0][1]["reason"]


def test_plain_http_goes_to_this_machine_only_whatever_its_name_stands_for(tmp_path, monkeypatch):
    monkeypatch.setattr(notify_delivery.socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("192.0.2.7", 80))])
    desk = Desk(tmp_path, WEBHOOK | {"url": "http://localhost/"})
    desk.notifier.tell("held", subject="s1", **FACTS)
    desk.deliver()
    assert "not of this machine" in desk.lines[0][1]["reason"]


@pytest.mark.parametrize("security", ["starttls", "ssl", "none"])
def test_a_mail_by_starttls_ssl_and_on_this_machine(tmp_path, own_certificate, server_context, security):
    server = MailServer(None if security == "none" else server_context, starttls=security == "starttls")
    plain = EMAIL | {"host": "127.0.0.1", "port": server.port, "security": security, "ca_file": str(own_certificate)}
    desk = Desk(tmp_path, plain | {"user": "mpc", "password_file": "mail.password"})
    desk.notifier.tell("approval-needed", subject="s1", **FACTS | {"name": "hjärtsvikt"})
    assert desk.deliver() == ["notice_delivered"]
    assert desk.deliver(days=1) == []
    (mail,) = server.mails
    assert "To: dpo@north.example, it@north.example\r\n" in mail
    assert "From: mpc@north.example\r\n" in mail
    assert "next        mpcstats schedule history monthly-hf" in mail
    assert "=?utf-8?" in mail  # the subject, encoded
    assert len(server.logins) == 1
    if security == "starttls":
        assert server.commands.index("STARTTLS") < server.commands.index("AUTH")
    server.socket.close()


def test_a_mail_server_without_starttls_gets_neither_password_nor_mail(tmp_path):
    server = MailServer(None, starttls=False)
    plain = EMAIL | {"host": "127.0.0.1", "port": server.port, "user": "mpc", "password_file": "mail.password"}
    desk = Desk(tmp_path, plain)
    desk.notifier.tell("held", subject="s1", **FACTS)
    assert desk.deliver() == ["notice_failed"]
    assert server.logins == server.mails == []
    server.socket.close()


def test_a_refused_login_is_told_without_the_password(tmp_path):
    server = MailServer(None, starttls=False)
    server.refuse = {"AUTH"}
    plain = EMAIL | {"host": "127.0.0.1", "port": server.port, "security": "none", "user": "mpc"}
    desk = Desk(tmp_path, plain | {"password_file": "mail.password"})
    desk.notifier.tell("held", subject="s1", **FACTS)
    assert desk.deliver() == ["notice_failed"]
    assert desk.lines[0][1]["reason"] == "the mail server refused (535)"
    shown = repr(desk.lines) + repr(desk.targets) + repr(vars(desk.notifier))
    assert PASSWORD not in shown
    assert SECRET not in shown
    server.socket.close()


def test_names_from_other_parties_cannot_make_headers_or_lines(tmp_path):
    server = MailServer(None, starttls=False)
    desk = Desk(tmp_path, EMAIL | {"host": "127.0.0.1", "port": server.port, "security": "none"})
    evil = "x\r\nBcc: all@evil.example\r\n\r\nhello\u202e" + "y" * 500
    desk.notifier.tell("study-proposed", subject=evil, **FACTS | {"name": evil, "party": evil, "state": "\x1b[2J"})
    assert desk.deliver() == ["notice_delivered"]
    (mail,) = server.mails
    head, _, _ = mail.partition("\r\n\r\n")
    names = [line.partition(":")[0] for line in head.split("\r\n") if not line.startswith((" ", "\t"))]
    assert "Bcc" not in names
    assert len(names) == len(set(names)) == 9
    assert "\x1b" not in mail
    server.socket.close()


@pytest.mark.parametrize(
    "wrong",
    [
        WEBHOOK | {"url": "http://hooks.example.org/"},
        WEBHOOK | {"url": "ftp://127.0.0.1/"},
        WEBHOOK | {"url": "file:///etc/passwd"},
        WEBHOOK | {"url": "https://user:pw@hooks.example.org/"},
        WEBHOOK | {"url": "https://hooks.example.org/\r\nX: 1"},
        WEBHOOK | {"url": "https://hooks.example.org:99999/"},
        WEBHOOK | {"url": "https:///x"},
        WEBHOOK | {"url": "https://ok.example/", "events": ["everything"]},
        WEBHOOK | {"url": "https://ok.example/", "colour": "red"},
        EMAIL | {"host": "mail.example", "to": ["a@b.example\nBcc: c@d.example"]},
        EMAIL | {"host": "mail.example", "to": []},
        EMAIL | {"host": "mail.example", "sender": "Me <me@x.example>"},
        EMAIL | {"host": "mail.example", "security": "none"},
        EMAIL | {"host": "mail.example\r\n"},
        EMAIL | {"host": "mail.example", "user": "mpc"},
        {"kind": "pigeon", "name": "x"},
    ],
)
def test_targets_that_are_refused(wrong):
    with pytest.raises(ValidationError):
        target(wrong)


def test_secrets_must_be_private_and_long_enough(tmp_path):
    plain = target(WEBHOOK | {"url": "https://ok.example/"})
    path = tmp_path / "hook.secret"
    with pytest.raises(ConfigurationError, match="cannot read"):
        Delivery(tmp_path, "north", [plain])
    path.write_text("short")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="16 are the least"):
        Delivery(tmp_path, "north", [plain])
    path.write_text(SECRET)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="other users"):
        Delivery(tmp_path, "north", [plain])


def test_events_are_a_closed_list_and_nothing_else_can_be_told(tmp_path):
    desk = Desk(tmp_path)
    with pytest.raises(ValueError, match="no event"):
        desk.notifier.tell("results", subject="x")
    with pytest.raises(TypeError):
        desk.notifier.tell("released", subject="x", count=120)
    assert len(EVENTS) == 13


def test_a_key_that_expires_soon(own_certificate):
    pem, now = own_certificate.read_bytes(), datetime.datetime.now(UTC)
    assert key_expiring(pem, now) == f"{now + timedelta(days=20):%Y-%m-%d}"
    assert key_expiring(pem, now, days=10) is None
