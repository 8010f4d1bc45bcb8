"""MPyC's Kaplan-Meier demonstrations with three local parties, run from a checkout of MPyC.

    git clone https://github.com/lschoe/mpyc

Needs `demos/` and `mpyc/` of it; the demonstrations run with the package of the checkout, in processes of their own.
Install gmpy2 as well: MPyC is faster with it.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["ARRAYS", "LISTS", "run_demonstration", "run_on"]

ARRAYS, LISTS = "np_kmsurvival.py", "kmsurvival.py"
_NUMBERS = {"aml": 2, "lung": 3}
_PARTIES = 3
_TIMEOUT = 3600


def run_on(checkout: Path, frame: pd.DataFrame) -> dict[str, Any]:
    """The demonstration on other people (time, event, group 1 or 2): given as a file of the form of aml.csv."""
    with tempfile.TemporaryDirectory() as text:
        data = Path(text) / "data" / "surv"
        data.mkdir(parents=True)
        frame.rename(columns={"event": "cens"}).to_csv(data / "aml.csv")
        return run_demonstration(checkout, ARRAYS, "aml", Path(text))


def run_demonstration(checkout: Path, form: str, name: str, folder: Path | None = None) -> dict[str, Any]:
    """Run one demonstration and read what it logs.

    Parameters
    ----------
    checkout : Path
    form : ARRAYS or LISTS
    name : "aml" or "lung"
    folder : Path, optional
        Where it looks for data.

    Returns
    -------
    dict
        `seconds` from connected parties to the end (MPyC's elapsed time), `last_test_seconds` of its test over all
        times, the last thing it does, `chi_square` of that test, `bytes_sent` by its first party, `version`.
    """
    demos = checkout.resolve() / "demos"
    path = os.pathsep.join([str(checkout.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, str(demos / form), f"-M{_PARTIES}", "-B", str(_base_port()), "-i", str(_NUMBERS[name])]
    process = subprocess.Popen(
        command,
        cwd=folder or demos,
        env=os.environ | {"PYTHONPATH": path, "MPLBACKEND": "Agg"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # it starts the other parties
    )
    try:
        output, _ = process.communicate(timeout=_TIMEOUT)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        raise SystemExit(f"{form} of MPyC failed:\n{output[-2000:]}")
    return {"form": form} | _parsed(output)


def _base_port() -> int:
    """MPyC's parties listen on consecutive ports. Below those that outgoing connections are given."""
    for base in range(20_000 + os.getpid() % 5_000, 32_000, _PARTIES):
        with ExitStack() as stack, suppress(OSError):
            for k in range(_PARTIES):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", base + k))
            return base
    raise SystemExit("no three consecutive ports are free for MPyC")


def _parsed(output: str) -> dict[str, Any]:
    hours, minutes, seconds = _found(r"elapsed time: ([\d:.]+)\|", output).split(":")
    begun, ended = (
        datetime.strptime(_found(rf"(\d+-\d+-\d+ [\d:]+,\d+) {text}", output), "%Y-%m-%d %H:%M:%S,%f")
        for text in ("Secure logrank test for all", "Stop MPyC")
    )
    return {
        "seconds": 3600 * int(hours) + 60 * int(minutes) + float(seconds),
        "last_test_seconds": (ended - begun).total_seconds(),
        "chi_square": float(_found(r"Chi2=(\S+), p=\S+ for all \d+ time moments secure", output)),
        "bytes_sent": int(_found(r"\|bytes sent: (\d+)", output)),
        "version": _found(r"Start MPyC runtime v(\S+)", output),
    }


def _found(pattern: str, output: str) -> str:
    match = re.search(pattern, output)
    if match is None:
        raise SystemExit(f"the demonstration of MPyC did not print {pattern!r}:\n{output[-2000:]}")
    return match[1]
