"""The way to a party up to its node: name, connection, TLS, and whether it takes our certificate."""

from __future__ import annotations

import datetime
import errno

from cryptography import x509

from mpcstats.node.doctor.findings import Finding, ok, problem
from mpcstats.node.doctor.probe import Greeting, connect, greet, resolve
from mpcstats.node.doctor.target import Target, validity
from mpcstats.node.doctor.visit import Own, Visit
from mpcstats.transport.tls import tls_name

__all__ = ["knock", "trouble_of"]


def knock(found: Visit, host: str, port: int, own: Own, seconds: float) -> Greeting | None:
    """Name, connection, TLS."""
    name = found.target.name
    addresses = resolve(host, port, seconds)
    if isinstance(addresses, str):
        what = f"{host} cannot be resolved: {addresses}"
        helps = f"check the name with {name}, and this machine's DNS (getent hosts {host})"
        found.findings.append(problem("dns", what, "E1701", party=name, whose=f"{name}, or our DNS", next=helps))
        return None
    shown = ", ".join(dict.fromkeys(str(address[4][0]) for address in addresses))
    found.findings.append(ok("dns", f"{host} is {shown}", name))
    line = connect(addresses, seconds)
    if isinstance(line, OSError):
        found.findings.append(_not_connected(line, found.target, seconds))
        return None
    connection, took = line
    found.findings.append(ok("tcp", f"connected in {took * 1000:.1f} ms", name, took * 1000))
    return greet(connection, own.certificate, own.key, tls_name(name), seconds)


def _not_connected(error: OSError, target: Target, seconds: float) -> Finding:
    name, address = target.name, target.address
    if isinstance(error, ConnectionRefusedError):
        what = f"{address} refuses connections: the machine is there, and nobody listens on the port"
        helps = f"ask {name} to start its node (mpcstats party start DIR) and to check [network] listen"
        return problem("tcp", what, "E1702", party=name, whose=name, next=helps)
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        what = f"{address} does not answer in {seconds:g} s: a firewall drops the packets, or the machine is off"
        helps = f"open TCP to {address} here (outgoing) and at {name} (incoming); a direct way is needed, no HTTP proxy"
        return problem("tcp", what, "E1703", party=name, whose=f"a firewall here or at {name}", next=helps)
    what = f"{address} cannot be reached: {error.strerror or type(error).__name__}"
    helps = "check this machine's network and routes (ip route get ADDRESS)"
    return problem("tcp", what, "E1703", party=name, whose="the network", next=helps)


def trouble_of(greeting: Greeting, target: Target, own: Own, now: datetime.datetime) -> Finding | None:
    """What is wrong with the answer to our handshake, the peer's certificate aside."""
    name, address, detail = target.name, target.address, greeting.detail
    middle = "the network, or " + name
    if greeting.outcome == "silent":
        what = f"{address} takes connections and stays silent ({detail})"
        helps = f"ask {name} whether its node hangs (mpcstats party status DIR) or a load balancer answers in its place"
        return problem("tls", what, "E1704", party=name, whose=middle, next=helps)
    if greeting.outcome in {"not-tls", "closed", "old-tls"}:
        what = {
            "not-tls": f"{address} speaks no TLS ({detail}): another service is on the port, or a proxy answers",
            "closed": f"{address} closes the connection during the TLS handshake ({detail}): "
            "another service, or a firewall that inspects",
            "old-tls": f"{address} offers no TLS version or cipher that is still allowed ({detail})",
        }[greeting.outcome]
        helps = f"ask {name} what listens there, and whether a proxy is in between"
        return problem("tls", what, "E1705", party=name, whose=middle, next=helps)
    if greeting.outcome == "not-accepted":
        return _not_accepted(target, own, now, detail)
    if greeting.outcome == "not-grpc":
        what = f"{address} has the right key, but no mpcstats node behind it ({detail})"
        return problem("grpc", what, "E1712", party=name, whose=name, next=f"ask {name} what listens there")
    return None


def _not_accepted(target: Target, own: Own, now: datetime.datetime, detail: str) -> Finding:
    name = target.name
    state, days = validity(x509.load_pem_x509_certificate(own.pair.certificate_pem), now)
    if state != "valid":
        when = f"expired {days:.1f} days ago" if state == "expired" else f"is not valid for another {days:.1f} days"
        what = f"{name} does not take our certificate, which {when}"
        helps = "mpcstats party rotate DIR > new.card.toml, and send the card to the lead"
        return problem("accepted", what, "E1711", party=name, whose="us", next=helps)
    if own.known.own not in own.known.current:
        what = f"{name} does not take our key; our own roster does not list it either"
        helps = "send the lead our card (mpcstats party card DIR), and join the new roster"
        return problem("accepted", what, "E1711", party=name, whose="us", next=helps)
    what = f"{name} does not take our key ({detail}): its roster lacks it, or it was revoked there"
    helps = f"compare the versions: mpcstats consortium status, here and at {name}"
    return problem("accepted", what, "E1711", party=name, whose=f"{name}, or our roster is out of date", next=helps)
