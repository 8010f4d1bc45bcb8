"""Real nodes, one accident after the other, for as long as wanted: what became of it, in docs/reliability.md.

A consortium of three nodes (every third: four) has accidents in an order by seed, single analyses and sealed studies
in turn; after some dozens of them its nodes are stopped, and the next one begins. At its end the database of one party
is put back to an older copy, which its peers must notice.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reliability import write_section

from mpcstats.node.settings.config import PartyDirectory
from mpcstats.testing.faults import KINDS, Fault, FaultSchedule
from mpcstats.testing.history import audit_problems
from mpcstats.testing.lab import Lab
from mpcstats.testing.nemesis import PATIENCE_SECONDS, Trial, cohort_files, run_trial

NAMES = ("alpha", "beta", "gamma", "delta")
_TRIALS = 46
"""Of one consortium: every class twice."""


@dataclass
class Tally:
    """What was found so far."""

    trials: list[Trial] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    audit: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    messages: int = 0
    consortia: int = 0

    def count(self, outcome: str) -> int:
        """Trials that ended so."""
        return sum(trial.outcome == outcome for trial in self.trials)

    @property
    def bad(self) -> list[str]:
        """Everything that should not be."""
        trials = [
            f"{trial.fault}: {trial.outcome}, recovery {trial.recovery_seconds}: {trial.detail}"
            for trial in self.trials
            if not trial.good
        ]
        return [*trials, *self.reused, *self.audit, *self.left]


def main() -> int:
    options = _options()
    started, tally = time.monotonic(), Tally()
    until = started + 60 * options.minutes
    root = Path(tempfile.mkdtemp(prefix="mpcstats-soak-"))
    try:
        while time.monotonic() < until:
            parties = 4 if tally.consortia % 3 == 2 else 3
            _one_consortium(root / str(tally.consortia), parties, options.seed, tally, until)
    finally:
        minutes = (time.monotonic() - started) / 60
        if tally.trials:
            _report(tally, options.seed, minutes, options.out)
        if not tally.bad:
            shutil.rmtree(root, ignore_errors=True)
    for line in tally.bad:
        print(f"BAD {line}")
    return 1 if tally.bad else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/reliability.md"), help="file whose section is replaced")
    return parser.parse_args()


def _one_consortium(root: Path, parties: int, seed: int, tally: Tally, until: float) -> None:
    names = NAMES[:parties]
    lab = Lab(root / "lab", {name: cohort_files(root, k) for k, name in enumerate(names)})
    kinds = [kind for kind in KINDS if kind != "state-rolled-back" and _possible(kind, lab)]
    schedule = FaultSchedule(seed + 1000 * tally.consortia, names, kinds)
    with lab:
        for number in range(_TRIALS):
            if time.monotonic() > until:
                break
            trial = run_trial(lab, schedule.fault(number))
            tally.trials.append(trial)
            _tell(trial)
        tally.audit += audit_problems(lab.directories.values())
        tally.trials.append(_state_rolled_back(lab, tally.consortia))
        _tell(tally.trials[-1])
        codes = {name: node.stop(90) for name, node in lab.nodes.items()}
    tally.left += [f"{name} ended with {code}" for name, code in codes.items() if code]
    tally.left += lab.left_behind()
    tally.reused += lab.wire.reused
    tally.messages += lab.wire.messages
    tally.consortia += 1


def _possible(kind: str, lab: Lab) -> bool:
    return lab.can_set_clocks or kind not in ("clock-jump", "expired")


def _state_rolled_back(lab: Lab, number: int) -> Trial:
    """An older copy of a database comes back: its chain is whole, but the others have seen more."""
    name, started = lab.names[number % len(lab.names)], time.monotonic()
    fault = Fault(0, "state-rolled-back", lab.names[0], name, "", 0)
    path = lab.directories[name] / "state" / "state.db"
    old = lab.root / "older.db"
    with _stopped(lab, name):
        shutil.copy2(path, old)
    trial = run_trial(lab, Fault(0, "none", lab.names[0], name, lab.names[1], 0))
    problems = audit_problems(lab.directories.values())
    with _stopped(lab, name):
        shutil.copy2(old, path)
    found = audit_problems(lab.directories.values())
    noticed = not problems and bool(found)
    outcome = "E1511" if noticed else "not noticed"
    return Trial(fault, outcome, time.monotonic() - started, trial.recovery_seconds, "; ".join(found)[:300])


@contextlib.contextmanager
def _stopped(lab: Lab, name: str) -> Iterator[None]:
    lab.nodes[name].stop(90)
    assert PartyDirectory(lab.directories[name]).state.exists()
    yield
    for more in ("state.db-wal", "state.db-shm"):
        (lab.directories[name] / "state" / more).unlink(missing_ok=True)
    lab.restart(name)


def _tell(trial: Trial) -> None:
    fault = trial.fault
    where = ("release of a study" if fault.releasing else "study") if fault.sealed else "analysis"
    recovery = "-" if trial.recovery_seconds is None else f"{trial.recovery_seconds:.1f} s"
    print(
        f"{fault.kind:<20} {fault.party:<6} {where:<19} {trial.outcome:<8} {trial.seconds:5.1f} s, again {recovery}",
        flush=True,
    )


def _report(tally: Tally, seed: int, minutes: float, out: Path) -> None:
    groups: dict[str, list[Trial]] = collections.defaultdict(list)
    for trial in tally.trials:
        groups[trial.fault.kind].append(trial)
    wrong = sum(trial.outcome in ("wrong", "not noticed") for trial in tally.trials)
    hangs = sum(trial.outcome == "hang" or trial.recovery_seconds is None for trial in tally.trials)
    happened = sum(trial.happened and trial.fault.kind != "none" for trial in tally.trials)
    lines = [
        f"Seed {seed}, {minutes:.0f} minutes, {tally.consortia} consortia of three or four nodes, patience "
        f"{PATIENCE_SECONDS:g} s, {tally.messages:,} messages compared.",
        "",
        f"**{len(tally.trials)} trials, {happened} accidents that happened in them; "
        f"wrong answers {wrong}, hangs {hangs}, masks reused {len(tally.reused)}, "
        f"broken audit chains {len(tally.audit)}, left-over processes, ports and files {len(tally.left)}.**",
        "",
        "| accident | what | trials | it happened | right | typed errors | until the operator knew, median (longest) "
        "| right again after the repair, median (longest) |",
        "|---|---|--:|--:|--:|---|--:|--:|",
        *(_row(kind, groups[kind]) for kind in KINDS if groups[kind]),
    ]
    write_section(out, "soak", lines)
    print("\n".join(lines))


def _row(kind: str, trials: list[Trial]) -> str:
    right = sum(trial.outcome == "right" for trial in trials)
    codes = collections.Counter(trial.outcome for trial in trials if trial.outcome != "right")
    errors = ", ".join(f"{code} x {count}" for code, count in sorted(codes.items())) or "none"
    seconds = [trial.seconds for trial in trials]
    recoveries = [trial.recovery_seconds for trial in trials if trial.recovery_seconds is not None] or [float("nan")]
    happened = sum(trial.happened for trial in trials)
    counts = f"{len(trials)} | {happened} | {right} | {errors}"
    return f"| {kind} | {KINDS[kind]} | {counts} | {_times(seconds)} | {_times(recoveries)} |"


def _times(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.1f} s ({max(seconds):.1f} s)"


if __name__ == "__main__":
    sys.exit(main())
