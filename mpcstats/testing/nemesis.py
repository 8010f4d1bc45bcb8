"""Accidents happen to real nodes in the middle of a run; afterwards the answer was right, or a typed error said why.

A trial is one run under one accident: a single analysis, or a study whose result is sealed and then released. After it,
everything is repaired, and the nodes must give the right answer again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpcstats.errors import MpcStatsError, TransportError
from mpcstats.node.governance.locking import make_lock
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.runtime.manifest import Manifest, ManifestEntry
from mpcstats.sdk.sandbox import PartyFiles
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.lock import Cost, Proposal
from mpcstats.testing.chaos_node import Order
from mpcstats.testing.faults import Fault
from mpcstats.testing.lab import Lab
from mpcstats.testing.proxy import Weather

__all__ = ["PATIENCE_SECONDS", "Trial", "attempt", "cohort_files", "run_trial"]

PATIENCE_SECONDS = 5.0
_HANG_SECONDS = 90.0
"""After so long an operator who still waits has a node that hangs: far above every bound of a run."""

_RECOVERY_SECONDS = 150.0
_TRIES = 3
_ORDERS = {"kill": "kill", "pause": "stop", "freeze": "stop", "corrupt-frame": "corrupt"} | {
    kind: kind for kind in ("drop", "duplicate", "reorder", "replay")
}
_CENTURY = 100 * 365 * 24 * 3600
_MEN, _WOMEN = 31, 20

_DICTIONARY = """\
apiVersion = "mpcstats/v1"
kind = "Dictionary"
id = "lab"
version = 1
[[column]]
name = "sex"
type = "category"
levels = ["f", "m"]
"""
_POLICY = """\
apiVersion = "mpcstats/v1"
kind = "Policy"
extends = "standard"
[approval]
auto = ["*"]
"""
_SPEC = CountSpec(by=("sex",))


def cohort_files(root: Path, number: int, patience_seconds: float = PATIENCE_SECONDS) -> PartyFiles:
    """Files of party `number` (from 0): women and men, a few more in each next party."""
    folder = root / f"data{number}"
    folder.mkdir(parents=True)
    (folder / "dictionary.toml").write_text(_DICTIONARY)
    (folder / "cohort.csv").write_text("sex\n" + "f\n" * (_WOMEN + number) + "m\n" * (_MEN + number))
    files = {"table": str(folder / "cohort.csv"), "dictionary": str(folder / "dictionary.toml")}
    limits = {"patience_seconds": patience_seconds, "queue_seconds": 20, "preparation_seconds": 30}
    return PartyFiles(datasets={"main": files}, policy=_POLICY, run=limits)


def _truth(parties: int) -> list[int]:
    """What a count by sex releases under the standard rules: rounded to 5."""
    extra = parties * (parties - 1) // 2
    return [5 * round((each * parties + extra) / 5) for each in (_WOMEN, _MEN)]


@dataclass(frozen=True)
class Trial:
    """What became of a run under an accident.

    Attributes
    ----------
    outcome : str
        "right", "wrong", "hang", the code of a typed error, or the class of any other.
    seconds : float
        Until its operator knew.
    recovery_seconds : float or None
        From the repair to the next right answer; None: there was none.
    """

    fault: Fault
    outcome: str
    seconds: float
    recovery_seconds: float | None
    detail: str = ""
    happened: bool = True
    """A run may end before the message, or the byte, at which its accident was due."""

    @property
    def good(self) -> bool:
        """Right, or a typed error; and the nodes work again."""
        return (self.outcome == "right" or self.outcome.startswith("E1")) and self.recovery_seconds is not None


def attempt(work: Callable[[], bool], seconds: float = _HANG_SECONDS) -> tuple[str, str]:
    """Do something whose answer is right or not, in bounded time; how it went, and the error's text."""
    found: list[tuple[str, str]] = []

    def call() -> None:
        try:
            found.append(("right" if work() else "wrong", ""))
        except MpcStatsError as error:
            found.append((error.code, str(error)))
        except Exception as error:
            found.append((type(error).__name__, str(error)))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else ("hang", f"no answer within {seconds:g} s")


def run_trial(lab: Lab, fault: Fault) -> Trial:
    """Let an accident happen, repair it, and wait until the nodes are of use again."""
    job = _SealedJob(lab, fault) if fault.sealed else _SingleJob(lab, fault)
    with contextlib.suppress(MpcStatsError):
        job.prepare()
    strike = _Strike(lab, fault)
    strike.before()
    started = time.monotonic()
    outcome, detail = attempt(lambda: job.work(strike.running))
    seconds = time.monotonic() - started
    happened = strike.happened
    strike.repair()
    lab.calm()
    started, recovery = time.monotonic(), None
    while recovery is None and time.monotonic() - started < _RECOVERY_SECONDS:
        again, why = attempt(job.again)
        if again == "right":
            recovery = time.monotonic() - started
        elif again in ("wrong", "hang"):
            outcome, detail = again, f"after the repair: {why}"
            break
        else:
            detail = detail or f"after the repair: {why}"
            time.sleep(0.3)
    return Trial(fault, outcome, seconds, recovery, detail, happened)


class _SingleJob:
    """A count, asked for without a study."""

    def __init__(self, lab: Lab, fault: Fault) -> None:
        self.lab, self.fault = lab, fault
        self.client = lab.client(fault.coordinator)

    def prepare(self) -> None:
        """Nothing is needed before."""

    def work(self, running: Callable[[str], None]) -> bool:
        """Ask; whether the answer is right."""
        return _right(self.client.run(_SPEC, running), len(self.lab.names))

    def again(self) -> bool:
        """After the repair."""
        return self.work(lambda _text: None)


class _SealedJob(_SingleJob):
    """A study: proposed and approved; computed and sealed; released by all; opened."""

    study, _tries = "", 0

    def prepare(self) -> None:
        """Up to the step in which the accident happens."""
        self._propose()
        if self.fault.releasing:
            self._compute(lambda _text: None)

    def work(self, running: Callable[[str], None]) -> bool:
        """The step itself."""
        if not self.fault.releasing:
            self._propose()
            self._compute(running)
        return self._release(running)

    def again(self) -> bool:
        """The study, where it goes on; otherwise a new one."""
        try:
            self._propose()
            self._compute(lambda _text: None)
            return self._release(lambda _text: None)
        except MpcStatsError as error:
            self._tries += 1
            # what was only interrupted can go on
            if self._tries == _TRIES or not isinstance(error, TransportError):
                self.study, self._tries = "", 0
            raise

    def _propose(self) -> None:
        if self.study:
            return
        clients = [self.lab.client(name) for name in self.lab.names]
        self.lab.until(lambda: self._all_signed(clients), 60, "signatures of the roster")
        proposal = _proposal(self.client, f"trial-{self.fault.number}-{time.monotonic_ns()}")
        study = str(self.client.govern("propose", proposal=json.loads(proposal.model_dump_json()))["study"])
        # every policy approves by itself
        self.lab.until(lambda: not self.client.govern("show", study=study)["waiting_for"], 60, "approvals")
        self.study = study

    def _all_signed(self, clients: list[Any]) -> bool:
        return all(len(client.govern("consortium")["signed"]) == len(clients) for client in clients)

    def _compute(self, running: Callable[[str], None]) -> None:
        if not self._run()["computed"]:
            self.client.govern("run", running, study=self.study)

    def _run(self) -> dict[str, Any]:
        return self.client.govern("show", study=self.study)["run"] or {"computed": [], "released_by": [], "opened": []}

    def _release(self, running: Callable[[str], None]) -> bool:
        # the coordinator comes last: the last release opens the result
        names = sorted(self.lab.names, key=lambda name: name == self.fault.coordinator)
        for name in names:
            if name not in self._run()["released_by"]:
                heard = running if name == self.fault.coordinator else (lambda _text: None)
                self.lab.client(name).govern("decide", heard, study=self.study, decision="release")
        path = self.client.govern("result", running, study=self.study)["path"]
        return _right(outcome_from_bytes(Path(path).read_bytes()), len(self.lab.names))


def _right(outcome: Outcome, parties: int) -> bool:
    return bool(next(iter(outcome.tables.values()))["count"].tolist() == _truth(parties))


def _proposal(client: Any, name: str) -> Proposal:
    terms: Mapping[str, Any] = client.govern("terms", spec=_SPEC.model_dump(mode="json"))["terms"]
    roster = PartyDirectory(client.directory.path).roster()
    why = "people per cell, pooled over all parties, rounded; 0 where suppressed"
    manifest = Manifest((ManifestEntry("counts", 2, "result", why),))
    request = _SPEC.model_dump(mode="json", exclude_defaults=True) | {"type": _SPEC.type}
    study = {
        "apiVersion": "mpcstats/v1",
        "kind": "Study",
        "id": name,
        "title": "People by sex",
        "principal": f"lead@{client.name}.example",
        "purpose": "feasibility",
        "consortium": roster.consortium,
        "expires": "2199-01-01T00:00:00Z",
        "data": {"dataset": "main"},
        "analysis": request,
    }
    return Proposal(study=study, lock=make_lock(_SPEC, roster, terms, manifest, Cost(rounds=20)))


class _Strike:
    """One accident: what is done before the run, when it goes on, and to repair it."""

    def __init__(self, lab: Lab, fault: Fault) -> None:
        self.lab, self.fault = lab, fault
        self._struck = False
        self._timers: list[threading.Timer] = []
        self._over = threading.Event()
        self._kept: tuple[Path, Path] | None = None
        self._accidents = lab.wire.accidents

    @property
    def happened(self) -> bool:
        """Whether there was an accident so far."""
        kind = self.fault.kind
        if kind in _ORDERS:
            return self.lab.wire.accidents > self._accidents
        if kind in ("cut", "corrupt-bytes"):
            return self.lab.net.struck
        if kind.startswith("journal"):
            return self._kept is not None
        return self._struck or kind in ("none", "latency", "throttle", "clock-jump")

    def before(self) -> None:
        """What must be there when the run begins."""
        fault, party = self.fault, self.lab.directories[self.fault.party]
        if fault.kind in _ORDERS:
            Order(_ORDERS[fault.kind], fault.at).give(party)
        elif fault.kind == "latency":
            self.lab.net.set_all(Weather(latency_seconds=0.02, jitter_seconds=0.03))
        elif fault.kind == "throttle":
            self.lab.net.set_all(Weather(bytes_per_second=100_000))
        elif fault.kind == "clock-jump":
            self.lab.set_clock(fault.party, (3600, -3600, 86_400)[fault.at % 3])
        elif fault.kind.startswith("journal"):
            self._damage_journal(party)

    def running(self, text: str) -> None:
        """Called with the progress of the run: what happens when all parties have accepted it."""
        if self._struck or "all parties accepted" not in text:
            return
        self._struck = True
        self._strike_node()
        self._strike_net()

    def _strike_node(self) -> None:
        fault = self.fault
        if fault.kind in ("pause", "freeze"):
            self._later(0, self._go_on)
        elif fault.kind == "drain":
            self.lab.nodes[fault.party].send_signal(signal.SIGTERM)
        elif fault.kind == "disk-full":
            self.lab.limit_files(fault.party, 0)
        elif fault.kind == "expired":
            self.lab.set_clock(fault.party, _CENTURY)
            self.lab.net.cut(fault.party)  # certificates are looked at when a connection is made

    def _strike_net(self) -> None:
        fault, net, there = self.fault, self.lab.net, (self.fault.party, self.fault.other)
        if fault.kind == "corrupt-bytes":
            net.set(*there, Weather(corrupt_after=20 * fault.at))
        elif fault.kind == "cut":
            net.set(*there, Weather(cut_after=20 * fault.at))
        elif fault.kind == "black-hole":
            net.set(*there, Weather(hole=True))
        elif fault.kind == "slow-reader":
            for name in self.lab.names:
                if name != fault.party:
                    net.set(name, fault.party, Weather(bytes_per_second=2000))
        elif fault.kind == "partition":
            net.partition(*there)
            self._later(1.0 + fault.at % 5, net.heal)
        elif fault.kind == "isolate":
            net.isolate(fault.party)
            self._later(1.0 + fault.at % 5, net.heal)

    def repair(self) -> None:
        """What `Lab.calm` does not know about."""
        self._over.set()
        for timer in self._timers:
            timer.join()
        if self.fault.kind == "drain" and self._struck:
            self.lab.nodes[self.fault.party].wait(90)
        if self._kept is not None:
            kept, path = self._kept
            self.lab.nodes[self.fault.party].kill()
            if path.parent.exists():
                shutil.copy2(kept, path)
            kept.unlink()

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.start()
        self._timers.append(timer)

    def _go_on(self) -> None:
        """Wake the party a while after it stopped; a run may end before it does."""
        node = self.lab.nodes[self.fault.party]
        while not node.is_paused and not self._over.wait(0.05):
            pass
        patience = node.client.directory.config.run.patience_seconds
        self._over.wait(1.0 if self.fault.kind == "pause" else patience + 3)
        if node.process.poll() is None:
            node.send_signal(signal.SIGCONT)

    def _damage_journal(self, party: Path) -> None:
        """While the node is away."""
        path = max(party.glob("state/sealed/*/run.journal"), key=lambda each: each.stat().st_mtime, default=None)
        if path is None:
            return  # the study could not be computed before
        self.lab.nodes[self.fault.party].kill()
        kept = self.lab.root / f"kept-{self.fault.number}"
        shutil.copy2(path, kept)
        self._kept = kept, path
        data = bytearray(path.read_bytes())
        if self.fault.kind == "journal-changed":
            data[len(data) * self.fault.at // 64] ^= 1
        elif self.fault.kind == "journal-torn":
            del data[-1 - self.fault.at :]
        else:
            del data[len(data) // 2 + self.fault.at :]
        path.write_bytes(data)
        self.lab.start(self.fault.party)
        self.lab.nodes[self.fault.party].wait_ready(120)
