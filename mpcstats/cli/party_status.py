"""`party status` as lines and as a live table, `party log`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import typer

__all__ = ["status_rows", "watch"]

State = dict[str, Any]

_EVERY_SECONDS = 2.0
_FEW_DAYS = 30
_SKEW_MS = 2000


def status_rows(state: State) -> list[tuple[str, str]]:
    """(what, how it is) of `NodeClient.status`, with `vitals` where the node told them."""
    rows = [
        ("party", f"{state['name']} ({state['role']}), mpcstats {state['version']}"),
        ("consortium", f"{state['consortium']}, roster {state['roster_digest'][:16]}"),
        ("up", f"{state['uptime_seconds']} s"),
        (
            "runs",
            f"{state['current_run'] or 'none'} now, {state['queued_runs']} waiting, "
            f"{state['finished_runs']} finished, {state['failed_runs']} failed",
        ),
        *_vitals(state.get("vitals") or {}),
    ]
    return rows + [("peer", f"{peer['name']:<20} {_connection(peer)}") for peer in state["peers"]]


def watch(read: Callable[[], State]) -> None:
    """A table that is read again every two seconds, until Ctrl-C; without a terminal once."""
    if not sys.stdout.isatty():
        for what, how in status_rows(read()):
            typer.echo(f"{what:<11} {how}")
        return
    from rich.live import Live

    try:
        with Live(_table(read()), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(_EVERY_SECONDS)
                live.update(_table(read()), refresh=True)
    except KeyboardInterrupt:
        return


def _table(state: State) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    for what, how in status_rows(state):
        bad = "cannot be reached" in how or "ANOTHER ROSTER" in how or "SOON" in how or "CLOCK" in how
        table.add_row(Text(what, style="bold"), Text(how, style="red" if bad else ""))
    return table


def _vitals(vitals: State) -> list[tuple[str, str]]:
    if not vitals:
        return []
    studies = ", ".join(f"{number} {status}" for status, number in vitals["studies"].items()) or "none"
    days = vitals["certificate_days"]
    return [
        ("studies", f"{studies}; {vitals['waiting_here']} wait for this party"),
        ("schedules", f"{vitals['schedules']}, {vitals['held']} due times held back"),
        ("certificate", f"{days} days{' SOON: mpcstats party rotate' if days < _FEW_DAYS else ''}"),
        ("disk", f"{vitals['disk_free_bytes'] / 1e9:,.1f} GB free, database {vitals['database_bytes'] / 1e6:,.1f} MB"),
        ("memory", f"{vitals['memory_bytes'] / 1e6:,.0f} MB, {vitals['cpu_seconds']:,.0f} s of processor time"),
        ("audit", f"{vitals['audit_records']:,} records"),
    ]


def _connection(peer: State) -> str:
    if not peer["reachable"]:
        return "cannot be reached"
    roster = "same roster" if peer["same_roster"] else "ANOTHER ROSTER"
    skew = peer.get("clock_skew_ms")
    clock = f", CLOCK {skew / 1000:+.1f} s" if skew is not None and abs(skew) > _SKEW_MS else ""
    return f"{peer['round_trip_ms']:.1f} ms, {roster}, mpcstats {peer['version']}{clock}"
