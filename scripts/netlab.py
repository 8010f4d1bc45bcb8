"""The demonstration's studies by three nodes over a slow network, beside what delay alone would cost.

Every node runs in a network namespace of its own, on a bridge, with tbf as its bandwidth; the delay comes from a proxy
in front of each node (kernels without netem have none). Where namespaces are not permitted, the proxies do both, on
loopback. Times go into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reliability import write_section

from mpcstats.cli.demo.pooled import Pooled
from mpcstats.cli.demo.steps import Demonstration
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.sdk.connected import ConnectedConsortium
from mpcstats.sdk.processes import ProcessNetwork
from mpcstats.sdk.sandbox import free_ports, make_party_directories
from mpcstats.testing.proxy import ChaosNet, Weather, caller_by_process

NAMES = ("northfield", "lakeside", "westbay")
_PORT = 4710
_BRIDGE = "10.77.0.254"
_INSIDE = "MPCSTATS_NETLAB"


def main() -> None:
    options = _options()
    if not options.loopback and _INSIDE not in os.environ and _permitted():
        # a private network and private mounts: all of it is gone when this ends
        inside = ["unshare", "--net", "--mount", sys.executable, *sys.argv]
        os.execvpe("unshare", inside, os.environ | {_INSIDE: "1"})
    folder = Path(tempfile.mkdtemp(prefix="mpcstats-netlab-"))
    try:
        spaces = _INSIDE in os.environ
        with _network(folder, spaces, options.delay / 1000, options.mbit * 1e6) as network:
            rows = list(_studies(network, folder))
        _report(rows, spaces, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=20.0, help="milliseconds, one way")
    parser.add_argument("--mbit", type=float, default=50.0, help="bandwidth of each node, both ways")
    parser.add_argument("--parties", type=Path, default=Path("parties"), help="folder of the three institutions")
    parser.add_argument("--loopback", action="store_true", help="no namespaces")
    parser.add_argument("--out", type=Path, default=Path("docs/reliability.md"), help="file whose section is replaced")
    return parser.parse_args()


def _permitted() -> bool:
    probe = "mount -t tmpfs none /run && ip netns add probe && ip link add probe0 type bridge"
    command = ["unshare", "--net", "--mount", "sh", "-c", probe]
    return (
        shutil.which("unshare") is not None and not subprocess.run(command, capture_output=True, check=False).returncode
    )


@contextlib.contextmanager
def _network(folder: Path, spaces: bool, delay: float, bits: float) -> Iterator[ProcessNetwork]:
    parties: dict[str, Any] = {name: Path("parties") / name for name in NAMES}
    ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    host = _BRIDGE if spaces else "127.0.0.1"
    directories = make_party_directories(
        folder / "parties", parties, consortium="demo", advertise={name: f"{host}:{ports[name]}" for name in NAMES}
    )
    commands: dict[str, list[str]] = {}
    if spaces:
        _make_spaces(bits)
        for k, (name, directory) in enumerate(directories.items(), 1):
            _listen_at(directory, f"10.77.0.{k}:{_PORT}")
            node = [sys.executable, "-m", "mpcstats.cli.main", "party", "start", str(directory)]
            commands[name] = ["ip", "netns", "exec", f"p{k}", *node]
    backs = {name: _address(directory) for name, directory in directories.items()}
    network = ProcessNetwork(directories, commands, start_seconds=240)

    def by_space(address: tuple[str, int], _port: int) -> str:
        number = int(address[0].rpartition(".")[2])
        return NAMES[number - 1] if number <= len(NAMES) else ""

    by_process = caller_by_process(lambda: {node.process.pid: node.name for node in network})
    fronts = {name: (host, port) for name, port in ports.items()}
    with ChaosNet(fronts, backs, by_space if spaces else by_process) as net:
        net.set_all(Weather(latency_seconds=delay, bytes_per_second=None if spaces else bits / 8))
        with network:
            yield network


def _make_spaces(bits: float) -> None:
    def ip(command: str) -> None:
        subprocess.run(["ip", *command.split()], check=True)

    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    ip("link set lo up")
    ip("link add br0 type bridge")
    ip(f"addr add {_BRIDGE}/24 dev br0")
    ip("link set br0 up")
    for k in range(1, len(NAMES) + 1):
        ip(f"netns add p{k}")
        ip(f"link add v{k} type veth peer name eth0 netns p{k}")
        ip(f"link set v{k} master br0")
        ip(f"link set v{k} up")
        for command in (f"addr add 10.77.0.{k}/24 dev eth0", "link set eth0 up", "link set lo up"):
            ip(f"-n p{k} {command}")
        shape = ["root", "tbf", "rate", f"{bits:.0f}bit", "burst", "64kb", "latency", "400ms"]
        subprocess.run(["tc", "-n", f"p{k}", "qdisc", "add", "dev", "eth0", *shape], check=True)
        subprocess.run(["tc", "qdisc", "add", "dev", f"v{k}", *shape], check=True)


def _listen_at(directory: Path, address: str) -> None:
    file = directory / "party.toml"
    old = PartyDirectory(directory).config.network.listen
    file.write_text(file.read_text(encoding="utf-8").replace(f'listen = "{old}"', f'listen = "{address}"'))


def _address(directory: Path) -> tuple[str, int]:
    host, _, port = PartyDirectory(directory).config.network.listen.rpartition(":")
    return host, int(port)


def _studies(network: ProcessNetwork, folder: Path) -> Iterator[dict[str, Any]]:
    directories = network.directories
    connected = ConnectedConsortium(directories[NAMES[0]])
    show = Demonstration(connected, Pooled(list(directories.values())), folder)
    for title, step in show.steps:
        started = time.monotonic()
        done = step()
        seconds = time.monotonic() - started
        rounds = sum(result.run["rounds"] for result in done.results)
        difference = None if done.check is None else done.check[1]
        yield {
            "title": title,
            "seconds": seconds,
            "runs": len(done.results),
            "rounds": rounds,
            "off": difference,
            "bytes": max(done.bytes_sent.values()),
        }
        print(f"{title}: {seconds:.1f} s, {rounds} rounds", flush=True)


def _report(rows: list[dict[str, Any]], spaces: bool, options: argparse.Namespace) -> None:
    where = "a network namespace of its own" if spaces else "a process on loopback"
    lines = [
        f"Three nodes, each in {where}; {options.delay:g} ms one way, {options.mbit:g} Mbit/s for each node"
        + (" (tbf; delay by proxy)." if spaces else " for each pair (by proxy)."),
        "",
        "| study | runs | rounds | rounds x delay | bytes of the busiest party | their time on the wire | measured | "
        "difference from the pooled data |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        waiting, wire = row["rounds"] * options.delay / 1000, 8 * row["bytes"] / options.mbit / 1e6
        off = "" if row["off"] is None else f"{row['off']:.1e}"
        lines.append(
            f"| {row['title']} | {row['runs']} | {row['rounds']} | {waiting:.1f} s | {row['bytes']:,} | {wire:.1f} s | "
            f"{row['seconds']:.1f} s | {off} |"
        )
    write_section(options.out, "netlab", lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
