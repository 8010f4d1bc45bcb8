"""From one version of a roster to the next: parties that come, go, or change their keys; who vouches for a change.

A party that changes its keys signs the new certificate with its old signing key: who trusted the old key can trust the
new one, without another telephone call. A change without that signature must be confirmed by people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mpcstats.errors import ConfigurationError, SignatureInvalid
from mpcstats.node.consortium.roster import Card, Member, Roster, make_roster
from mpcstats.study.signing import SigningKey, verify

__all__ = ["Change", "changed_roster", "changes", "sign_succession", "vouched"]

KIND = "succession"


@dataclass(frozen=True)
class Change:
    """One difference between two rosters.

    Attributes
    ----------
    party : str
        "" for the roster as a whole.
    text : str
    unvouched : bool
        New keys of a known party, not signed by its old key.
    """

    party: str
    text: str
    unvouched: bool = False


def sign_succession(card: Card, old: SigningKey) -> Card:
    """A card with new keys, signed by the old one."""
    signature = old.sign(KIND, {"name": card.name, "certificate": card.certificate_pem.decode()}).hex()
    return card.model_copy(update={"succession": signature})


def vouched(old: Member, new: Member) -> bool:
    """Whether the old signing key signed the new certificate."""
    document = {"name": new.name, "certificate": new.certificate_pem.decode()}
    try:
        verify(old.signing_public, KIND, document, bytes.fromhex(new.succession), what="succession", party=new.name)
    except SignatureInvalid:
        return False
    return True


def changed_roster(
    old: Roster,
    add: Sequence[Card] = (),
    remove: Sequence[str] = (),
    replace: Sequence[Card] = (),
    committee: Sequence[str] | None = None,
) -> Roster:
    """The next version of a roster; the threshold follows the number of parties that compute.

    A committee that the old roster names stays, without who leaves, unless another one is given.

    Raises
    ------
    ConfigurationError
        A party to remove or replace is not there, one to add is, or nothing changes.
    """
    new = {card.name: card for card in replace}
    unknown = [name for name in (*remove, *new) if name not in old.names]
    if unknown:
        raise ConfigurationError(f"the roster has no party {unknown[0]!r} (parties: {', '.join(old.names)})")
    if not (add or remove or replace or committee):
        raise ConfigurationError("nothing changes", hint="--add CARD, --remove, --replace CARD or --committee")
    if committee is None and not old.has_usual_committee:
        committee = [name for name in old.committee if name not in remove]
    members = [new.get(member.name, member) for member in old.party if member.name not in remove]
    cards, version = [*members, *add], old.version + 1
    return make_roster(old.consortium, cards, version, previous=old.digest.hex(), committee=committee)


def changes(old: Roster, new: Roster) -> list[Change]:
    """What differs, in words; empty for equal rosters."""
    found = [
        Change("", f"{what}: {getattr(old, what)} -> {getattr(new, what)}")
        for what in ("consortium", "version", "threshold")
        if getattr(old, what) != getattr(new, what)
    ]
    if old.committee != new.committee:
        found.append(Change("", f"who computes: {', '.join(old.committee)} -> {', '.join(new.committee)}"))
    before, after = ({member.name: member for member in roster.party} for roster in (old, new))
    found += [Change(name, "leaves") for name in before if name not in after]
    found += [Change(name, f"comes: {after[name].words}") for name in after if name not in before]
    for name in (name for name in before if name in after):
        found += _of_party(before[name], after[name])
    if old.names != new.names and set(old.names) == set(new.names):
        found.append(Change("", "the order of the parties differs"))
    return found


def _of_party(old: Member, new: Member) -> list[Change]:
    found = [
        Change(new.name, f"{what}: {getattr(old, what)} -> {getattr(new, what)}")
        for what in ("role", "operator", "address")
        if getattr(old, what) != getattr(new, what)
    ]
    if old.words != new.words or old.signing_public != new.signing_public:
        fine = vouched(old, new)
        by = "signed by its old key" if fine else "NOT signed by its old key: ask by telephone"
        found.append(Change(new.name, f"new keys, {by}: {new.words}", unvouched=not fine))
    elif old.certificate_pem != new.certificate_pem:
        found.append(Change(new.name, "new certificate of the same key"))
    return found
