"""The budget of noise: every party accounts for every release in its own ledger, and all know who has how much left."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from mpcstats.errors import ConfigurationError, FrameRejected, NotPermitted
from mpcstats.node.ledger.releases import Account, Entry, ReleaseLedger, Spending
from mpcstats.runtime import Session, tell_everybody
from mpcstats.stats.differencing import Release
from mpcstats.stats.disclosure import everybody_knows
from mpcstats.stats.joint_noise import JointNoise
from mpcstats.types import DisclosureRules

__all__ = ["enter_again", "epsilon_of", "noise_of", "within_budgets"]

_BYTES = 17
_NO_LIMIT = (1 << 64) - 1
_MILLIONTHS = 1_000_000


def epsilon_of(release: Release, rules: DisclosureRules) -> Fraction:
    """What one person can change in all noisy numbers of a release.

    Cells have no common people, so one person is in one of them, and epsilon is that of one. Where a person may be in
    several, it is taken as though everybody were in all.
    """
    epsilon = Fraction(100, rules.noise_scale)
    return epsilon * release.sizes[0] if release.overlapping else epsilon


async def within_budgets(
    session: Session, ledger: ReleaseLedger, entry: Entry, rules: DisclosureRules, budget: Fraction | None
) -> Entry:
    """The entry with what it costs; the parties tell each other what they have used, so that all refuse alike.

    Parameters
    ----------
    budget : Fraction or None
        This party's, for the data set; None: no limit.

    Raises
    ------
    NotPermitted
        The release is beyond the budget of a party, which is named, with the numbers.

    Notes
    -----
    Public: the budget and the use of every party, to the millionth. One round; another one before a refusal.
    """
    account = ledger.account(entry.dataset, budget)
    epsilon = epsilon_of(entry.release, rules)
    others = [j for j in range(1, len(session.channel.parties) + 1) if j != session.index]
    own = _told(account, epsilon)
    told = await tell_everybody(session, own, dict.fromkeys(others, _BYTES))
    accounts = {session.index: own} | {j: bytes(data) for j, data in told.items()}
    for j in sorted(accounts):
        fine, used, most = _read(accounts[j], session.name(j))
        if not fine:
            await everybody_knows(session)
            raise NotPermitted(
                f"the release needs epsilon {_shown(epsilon)} of the budget of noise for data set {entry.dataset!r}: "
                f"{_shown(most)} in 365 days, {_shown(used)} used, {_shown(max(Fraction(0), most - used))} left",
                party=session.name(j),
                hint="ask for what was released already, wait, or ask for a larger epsilon_per_year ([budget] in "
                "policy.toml)",
            )
    return replace(entry, spending=Spending(epsilon, account.now))


def enter_again(session: Session, ledger: ReleaseLedger, entry: Entry, rules: DisclosureRules) -> Entry:
    """Enter a release that others know, and this party does not: it broke off before it was entered here.

    Raises
    ------
    ConfigurationError
        It was completed, so this party lost its ledger, and would deal other noise than then.
    """
    if entry.release.shown is not None:
        raise ConfigurationError(
            "the ledger of released counts lacks a release with noise that other parties remember",
            party=session.name(session.index),
            hint="restore state/released.sqlite from a backup",
        )
    now = ledger.account(entry.dataset, None).now
    entry = replace(entry, spending=Spending(epsilon_of(entry.release, rules), now))
    ledger.begin(entry)
    return entry


def noise_of(rules: DisclosureRules, session: Session) -> dict[str, Any]:
    """For the digest of a request: who deals how much of the noise. Other dealers would deal other noise."""
    noise = JointNoise.of(rules.noise_scale, session.committee)
    names = [session.name(j) for j in session.committee.members]
    return {"scale": noise.scale, "members": names, "together": noise.together}


def _told(account: Account, epsilon: Fraction) -> bytes:
    used = min(-(-account.used * _MILLIONTHS // 1), _NO_LIMIT - 1)
    most = _NO_LIMIT if account.budget is None else min(account.budget * _MILLIONTHS // 1, _NO_LIMIT - 1)
    return bytes([account.allows(epsilon)]) + int(used).to_bytes(8, "little") + int(most).to_bytes(8, "little")


def _read(data: bytes, sender: str) -> tuple[bool, Fraction, Fraction]:
    if len(data) != _BYTES or data[0] > 1:
        raise FrameRejected("sent a malformed account of its budget", party=sender)
    used, most = (int.from_bytes(data[at : at + 8], "little") for at in (1, 9))
    return data[0] == 1, Fraction(used, _MILLIONTHS), Fraction(most, _MILLIONTHS)


def _shown(number: Fraction) -> str:
    return f"{float(number):.6g}"
