"""A release and those before it: the parties agree on what was released, compare, and remember the new one."""

from __future__ import annotations

import hmac
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from typing import Any

from mpcstats.errors import ConfigurationError, Divergence, FrameRejected
from mpcstats.node.ledger.noise_budget import enter_again, within_budgets
from mpcstats.node.ledger.releases import Entry, ReleaseLedger, Snapshot
from mpcstats.runtime import Session, tell_everybody
from mpcstats.stats.contributions import Plan
from mpcstats.stats.differencing import Release, check_differences
from mpcstats.study.spec import AnalysisSpec, digest
from mpcstats.types import DisclosureRules

__all__ = ["compare_and_remember", "complete", "request_digest"]

MOST_BYTES = 1 << 25
"""Of the list of one party's releases, unpacked."""

_LONGEST_ENTRY, _MOST_ENTRIES = 1 << 22, 30_000

_SAME, _COMPARABLE, _APART, _NONE = range(4)
"""How a party's people of an earlier release relate to those of now: the same table; another one with the same keys for
people; not comparable; none of its own."""

_UNKNOWN = 2


def request_digest(
    spec: AnalysisSpec,
    plan: Plan,
    rules: DisclosureRules,
    parties: Sequence[str],
    noise: Mapping[str, Any] | None = None,
) -> str:
    """Equal where the same question is asked under the same rules; with noise, where the same parties deal it."""
    plain = {"spec": spec.model_dump(mode="json"), "plan": asdict(plan), "rules": asdict(rules)}
    if noise is None:
        del plain["rules"]["noise_scale"]  # requests of ledgers that were written before there was noise stay the same
    else:
        plain["noise"] = dict(noise)
    return digest(plain | {"parties": list(parties)}).hex()


async def compare_and_remember(
    session: Session,
    ledger: ReleaseLedger,
    entry: Entry,
    dealers: tuple[int, ...],
    rules: DisclosureRules,
    budget: Fraction | None = None,
) -> tuple[Entry, list[str]]:
    """Refuse a release that tells too much beside earlier ones; else enter it in the ledger.

    Parameters
    ----------
    entry : Entry
        The new one; `release.overlapping` need not be right at a party without data.
    budget : Fraction, optional
        This party's budget of noise for the data set (epsilon in 365 days); default: no limit.

    Returns
    -------
    (Entry, list of str)
        The entry in the ledger: the earlier one, where this is a repetition. And what could not be compared.

    Raises
    ------
    DisclosureRefused
        See `check_differences`.
    NotPermitted
        A release with noise is beyond a party's budget. A repetition costs nothing.
    ConfigurationError
        This party's ledger is broken, or lacks a release that others remember.
    Divergence
        A party remembers a release as another one.
    """
    own = ledger.entries(entry.dataset)
    told, overlapping = await _tell(session, own, entry)
    entry = replace(entry, release=replace(entry.release, overlapping=overlapping))
    merged = _merged(session, told, own)
    mine = {known.id: known for known in own}
    for identity, known in merged.items():
        if known["shown"] is not None and session.name(session.index) in known["parties"] and identity not in mine:
            raise ConfigurationError(
                "the ledger of released counts lacks a release that other parties remember",
                party=session.name(session.index),
                hint="restore state/released.sqlite from a backup",
            )
    compared, apart = [], 0
    for identity, known in merged.items():
        relations = {known["relations"].get(d, _NONE) for d in dealers}
        if known["request"] == entry.request and relations == {_SAME}:
            earlier = mine.get(identity)
            if earlier is None:
                earlier = replace(entry, id=identity, release=_release(known))
                if rules.noise_scale:
                    earlier = enter_again(session, ledger, earlier, rules)
            return earlier, []
        if _APART in relations:
            apart += 1
        else:
            compared.append((_release(known), mine.get(identity)))
    if rules.noise_scale:
        entry = await within_budgets(session, ledger, entry, rules, budget)
    people = None if entry.own is None else entry.own.members
    theirs = [None if known is None or known.own is None else known.own.members for _, known in compared]
    releases = [release for release, _ in compared]
    await check_differences(session, entry.release, releases, people, theirs, dealers, rules)
    ledger.begin(entry)
    notes = []
    if apart:
        notes.append(
            f"{apart} earlier releases could not be compared with this one: the rows of a table have changed since, "
            "and no column says who is who"
        )
    return entry, notes


def complete(ledger: ReleaseLedger, entry: Entry, shown: Sequence[bool]) -> None:
    """Note what was released, if that was not known."""
    if entry.release.shown is None:
        ledger.finish(replace(entry, release=replace(entry.release, shown=tuple(map(bool, shown)))))


# --- the parties' lists ---------------------------------------------------------------------------------------------


async def _tell(session: Session, own: list[Entry], new: Entry) -> tuple[dict[int, list[dict[str, Any]]], bool]:
    """What every party remembers (public parts), and whether people can be in several cells: told once, twice if there
    is anything to tell."""
    plain = [
        {
            "id": known.id,
            "request": known.request,
            "parties": list(known.parties),
            "sizes": list(known.release.sizes),
            "overlapping": known.release.overlapping,
            "axes": list(known.release.axes),
            "shown": None if known.release.shown is None else "".join("01"[bit] for bit in known.release.shown),
            "relation": _relation(known.own, new.own),
        }
        for known in own
    ]
    data = zlib.compress(json.dumps(plain).encode()) if plain else b""
    several = _UNKNOWN if new.own is None else int(new.release.overlapping)
    head = len(data).to_bytes(8, "little") + bytes([several])
    others = [j for j in range(1, len(session.channel.parties) + 1) if j != session.index]
    heads = await tell_everybody(session, head, dict.fromkeys(others, 9))
    sizes = {j: int.from_bytes(bytes(text)[:8], "little") for j, text in heads.items()}
    for j, size in sizes.items():
        if size > MOST_BYTES:
            raise FrameRejected(f"announces {size:,} bytes about earlier releases", party=session.name(j))
    lists = await tell_everybody(session, data, sizes) if data or any(sizes.values()) else {}
    told = {j: _parsed(bytes(text), session.name(j)) for j, text in lists.items()} | {session.index: plain}
    overlapping = {several, *(bytes(text)[8] for text in heads.values())} - {_UNKNOWN}
    if not overlapping <= {0, 1} or len(overlapping) > 1:
        raise Divergence("the parties differ in who is a person (unit_of_count in the dictionary)")
    return told, overlapping == {1}


def _relation(earlier: Snapshot | None, now: Snapshot | None) -> int:
    if earlier is None or now is None:
        return _NONE
    if not now.comparable(earlier):
        return _APART
    same = now.content == earlier.content and now.keyed_by == earlier.keyed_by
    return _SAME if same else _COMPARABLE


def _parsed(data: bytes, sender: str) -> list[dict[str, Any]]:
    try:
        entries = list(_rows(zlib.decompressobj().decompress(data, MOST_BYTES).decode()))
    except (ValueError, TypeError, KeyError, RecursionError, zlib.error):
        raise FrameRejected("sent a malformed list of earlier releases", party=sender) from None
    return entries


def _rows(text: str) -> Iterator[dict[str, Any]]:
    """The entries of a list as `_tell` writes it, each checked before the next one is read: what is no entry takes no
    memory for long. No text in an entry has a brace."""
    at, before = 0, "["
    for _ in range(_MOST_ENTRIES if text != "[]" else 0):
        end = text.find("}", at) + 1
        if not text.startswith(before + "{", at) or end - at > _LONGEST_ENTRY:
            raise ValueError("not a list of entries")
        known = json.loads(text[at + len(before) : end])
        if not _is_entry(known):
            raise ValueError("not an entry")
        yield known
        at, before = end, ", "
        if text[at : at + 2] == "]":
            return
    if text != "[]":
        raise ValueError("too many entries")


def _is_entry(known: dict[str, Any]) -> bool:
    shown = known["shown"]
    return (
        set(known) == {"id", "request", "parties", "sizes", "overlapping", "axes", "shown", "relation"}
        and all(isinstance(known[name], str) for name in ("id", "request"))
        and all(isinstance(known[name], list) for name in ("parties", "sizes", "axes"))
        and all(isinstance(name, str) for name in known["parties"])
        and all(isinstance(size, int) and 0 < size < 1 << 29 for size in known["sizes"])
        and isinstance(known["overlapping"], bool)
        and all(isinstance(levels, int) and 0 < levels < 1 << 29 for levels in known["axes"])
        and (shown is None or isinstance(shown, str))
        and (shown is None or (len(shown) == sum(known["sizes"]) and set(shown) <= {"0", "1"}))
        and known["relation"] in range(4)
    )


def _merged(session: Session, told: dict[int, list[dict[str, Any]]], own: list[Entry]) -> dict[str, dict[str, Any]]:
    """One list, in the same order everywhere: by party that knows it, then as it remembers."""
    merged: dict[str, dict[str, Any]] = {}
    for j in sorted(told):
        for known in told[j]:
            first = merged.setdefault(known["id"], {**known, "relations": {}})
            for name in ("request", "parties", "sizes", "overlapping", "axes"):
                if first[name] != known[name]:
                    raise Divergence("remembers an earlier release as another one", party=session.name(j))
            if first["shown"] is None:
                first["shown"] = known["shown"]
            elif known["shown"] is not None and not hmac.compare_digest(first["shown"], known["shown"]):
                raise Divergence("remembers an earlier release as another one", party=session.name(j))
            first["relations"][j] = known["relation"]
    return merged


def _release(known: dict[str, Any]) -> Release:
    shown = known["shown"]
    visible = None if shown is None else tuple(bit == "1" for bit in shown)
    return Release(tuple(known["sizes"]), known["overlapping"], visible, tuple(known["axes"]))
