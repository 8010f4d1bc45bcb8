"""The certificate that a peer shows, against the one that the roster pins."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509

from mpcstats.node.doctor.findings import Finding, ok, problem, warning
from mpcstats.node.doctor.target import Target, certificate_names, pem_of, validity
from mpcstats.node.identity.keys import fingerprint_words
from mpcstats.transport.tls import fingerprint, tls_name

__all__ = ["WARN_DAYS", "KnownKeys", "dates_finding", "judge_certificate"]

WARN_DAYS = 30


@dataclass(frozen=True)
class KnownKeys:
    """Keys that this party has heard of.

    Attributes
    ----------
    own : bytes
        Fingerprint of the own key.
    current : mapping of fingerprint to party
        The roster in use.
    earlier : mapping of fingerprint to (party, version)
        Versions before: keys that are not in use any more.
    """

    own: bytes
    current: Mapping[bytes, str]
    earlier: Mapping[bytes, tuple[str, int]]


def judge_certificate(der: bytes, target: Target, known: KnownKeys, now: datetime.datetime) -> list[Finding]:
    """The pinned key, or whose it is instead; then name and dates."""
    try:
        pem = pem_of(der)
        certificate = x509.load_pem_x509_certificate(pem)
        shown = fingerprint(pem)
    except Exception as error:  # whatever a stranger sends
        what = f"shows a certificate that cannot be read ({type(error).__name__})"
        return [problem("key", what, "E1706", party=target.name, whose=target.name)]
    if shown != target.fingerprint:
        return [_other_key(certificate, shown, pem, target, known)]
    name = tls_name(target.name)
    if certificate_names(certificate) != [name]:
        what = f"has the pinned key, but its certificate is made for another name than {name}"
        return [problem("key", what, "E1709", party=target.name, whose=target.name, next=_ask(target))]
    found = [ok("key", f"is the pinned one: {fingerprint_words(pem)}", target.name)]
    return [*found, *dates_finding(certificate, now, target.name)]


def dates_finding(certificate: x509.Certificate, now: datetime.datetime, party: str) -> list[Finding]:
    """Dates of another party's certificate."""
    state, days = validity(certificate, now)
    until = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    renew = f"ask {party} to run `mpcstats party rotate DIR`, and the lead for a roster with its new card"
    if state == "expired":
        what = f"certificate expired {until} ({days:.1f} days ago)"
        return [problem("certificate", what, "E1707", party=party, whose=party, next=renew)]
    if state == "not yet":
        since = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        what = f"certificate is not valid before {since} (in {days:.1f} days)"
        helps = "compare the clocks: is the date of this machine right? (timedatectl)"
        return [problem("certificate", what, "E1708", party=party, whose=f"{party} or our clock", next=helps)]
    if days < WARN_DAYS:
        what = f"certificate expires {until} (in {days:.0f} days)"
        return [warning("certificate", what, "E1707", party=party, whose=party, next=renew, value=days)]
    return [ok("certificate", f"valid until {until}", party, days)]


def _other_key(certificate: x509.Certificate, shown: bytes, pem: bytes, target: Target, known: KnownKeys) -> Finding:
    """Whose key it is, as far as we know."""
    party, words = target.name, fingerprint_words(pem)
    if shown == known.own:
        what = f"the address {target.address} leads back to this party"
        helps = f"ask {party} for its address; a router may send the port to the wrong machine"
        return problem("key", what, "E1706", party=party, whose="the roster's address, or the network", next=helps)
    if shown in known.current:
        what = f"{known.current[shown]} answers at the address of {party}"
        return problem(
            "key", what, "E1706", party=party, whose="the roster's address, or the network", next=_ask(target)
        )
    if shown in known.earlier:
        former, version = known.earlier[shown]
        what = f"answers with a key that is revoked: {former} had it in version {version} of the roster ({words})"
        helps = f"ask {party} to start its node with its new keys; if it did, somebody uses the old ones"
        return problem("key", what, "E1710", party=party, whose=party, next=helps)
    if certificate_names(certificate) != [tls_name(party)]:
        names = ", ".join(certificate_names(certificate)[:3]) or "nobody"
        what = (
            f"a certificate made for {names[:200]} instead of {tls_name(party)}: another service, or TLS is inspected"
        )
        helps = "ask whether a proxy or firewall opens TLS on the way; it must let it pass"
        return problem("key", what, "E1709", party=party, whose="the network, or the roster's address", next=helps)
    what = f"another key than the roster's ({words}): new keys without a new roster, or somebody in between"
    helps = f"compare these words with {party} by telephone; if they are its own, the lead makes a new roster"
    return problem("key", what, "E1706", party=party, whose=party, next=helps)


def _ask(target: Target) -> str:
    return f"ask {target.name} for its card (mpcstats party card DIR), and the lead for a roster with it"
