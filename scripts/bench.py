"""Measure the engine: primitives between party processes over mutual TLS on loopback, MPyC and a bare probe beside.

Every figure is the median over the passes of what the slowest party took. A pass runs every primitive once, each next
to the probe. All processes share this machine's cores, so a figure is about total work, not about what separate hosts
reach; compare ratios within one run only.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench_primitives import PRIMITIVES
from bench_report import Report, machine, merged, text_table, write_markdown

from mpcstats.node.identity.keys import create_identity

SUITES = {
    "default": "every primitive at its own size, three parties",
    "parties": "every primitive at 10^5 elements, five and seven parties",
    "large": "products and comparisons at 10^7 elements",
}
LARGE = ("multiply-M61", "multiply-M127", "multiply-fixed", "compare-M61")
OWN_SIZE = ("round", "matmul", "crosstab")
"""Primitives whose size is not a number of elements to choose."""


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def run_engine(m: int, wanted: list[tuple[str, int]], passes: int, delay_ms: float) -> list[dict[str, Any]]:
    """Measure with m party processes; one merged row per primitive."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        names = [f"party{k + 1}" for k in range(m)]
        for name in names:
            create_identity(folder / name, name)
        addresses = [f"127.0.0.1:{port}" for port in free_ports(2 * m)]
        # the probe is the product of three parties, without the delay
        probe = addresses[m:] if m == 3 and not delay_ms else None
        setup = {"names": names, "addresses": addresses[:m], "probe": probe, "wanted": wanted}
        setup |= {"passes": passes, "delay_ms": delay_ms}
        (folder / "setup.json").write_text(json.dumps(setup), encoding="utf-8")
        outputs = _run_parties(folder, m)
    return [merged(parties) for parties in zip(*outputs, strict=True)]


def _run_parties(folder: Path, m: int) -> list[list[dict[str, Any]]]:
    """Each party's rows. When one party fails, the others are stopped."""
    command = [sys.executable, str(Path(__file__).with_name("bench_party.py")), str(folder)]
    files = [(folder / f"rows{k + 1}").open("w+", encoding="utf-8") for k in range(m)]
    workers = [subprocess.Popen([*command, str(k + 1)], stdout=file) for k, file in enumerate(files)]
    try:
        while any(worker.poll() is None for worker in workers):
            if any(worker.returncode for worker in workers):
                break
            time.sleep(0.1)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
                worker.wait()
    if failed := [k + 1 for k, worker in enumerate(workers) if worker.returncode]:
        raise SystemExit(f"party {failed[0]} failed")
    for file in files:
        file.seek(0)
    return [[json.loads(line) for line in file] for file in files]


def run_mpyc(wanted: list[str]) -> list[dict[str, Any]]:
    """Seconds of MPyC with three local parties, in this run."""
    print("MPyC", file=sys.stderr, flush=True)
    command = [sys.executable, str(Path(__file__).with_name("bench_mpyc.py")), "-M3", "--only", ",".join(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"MPyC stopped; its last words: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    suites = "; ".join(f"{name}: {what}" for name, what in SUITES.items())
    parser.add_argument("--suite", choices=list(SUITES), default="default", help=suites)
    parser.add_argument("--parties", type=int, help="3 to 9")
    parser.add_argument("--size", type=int, help="elements; default: each primitive's own")
    parser.add_argument("--only", help="names, comma separated: " + ", ".join(PRIMITIVES))
    parser.add_argument("--passes", type=int, help="repetitions of every primitive; default 5, 3 with --suite parties")
    parser.add_argument("--delay-ms", type=float, default=0, help="latency added to every message")
    parser.add_argument("--no-mpyc", action="store_true", help="leave out MPyC")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to this file")
    parser.add_argument("--markdown", metavar="FILE", help="also write README's table to this file; - prints it")
    asked = parser.parse_args()
    if unknown := [name for name in (asked.only or "round").split(",") if name not in PRIMITIVES]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(PRIMITIVES)}")
    if asked.passes is None:
        asked.passes = 3 if asked.suite == "parties" else 5
    if asked.passes < 1 or (asked.size if asked.size is not None else 1) < 1:
        parser.error("--passes and --size are at least 1")
    if asked.parties is not None and not 3 <= asked.parties <= 9:
        parser.error("--parties is 3 to 9")
    return asked


def plan(asked: argparse.Namespace) -> tuple[list[int], list[tuple[str, int]]]:
    """Numbers of parties, and the primitives with their sizes."""
    parties = {"parties": [5, 7]}.get(asked.suite, [3]) if asked.parties is None else [asked.parties]
    keys = LARGE if asked.suite == "large" else tuple(PRIMITIVES)
    keys = tuple(asked.only.split(",")) if asked.only else keys
    size = asked.size or {"parties": 10**5, "large": 10**7}.get(asked.suite)
    return parties, [(key, PRIMITIVES[key].size if key in OWN_SIZE else size or PRIMITIVES[key].size) for key in keys]


def main() -> None:
    """Measure and print the table."""
    asked = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave no party behind
    parties, wanted = plan(asked)
    report = Report(machine(), {"passes": asked.passes, "delay_ms": asked.delay_ms}, load_before=os.getloadavg())
    if not asked.no_mpyc and 3 in parties and not asked.delay_ms:
        report.mpyc = run_mpyc([key for key, _ in wanted])
    for m in parties:
        report.rows += [{"parties": m, **row} for row in run_engine(m, wanted, asked.passes, asked.delay_ms)]
    report.finish(os.getloadavg())
    print(text_table(report))
    if asked.json:
        asked.json.write_text(json.dumps(vars(report), indent=1) + "\n", encoding="utf-8")
    if asked.markdown:
        write_markdown(report, asked.markdown)


if __name__ == "__main__":
    main()
