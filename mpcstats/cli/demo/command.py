"""The command itself: set up three institutions, run the steps, report."""

from __future__ import annotations

import contextlib
import shutil
import signal
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpcstats.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from mpcstats.cli.demo.steps import Step

__all__ = ["demo"]

NAMES = ("northfield", "lakeside", "westbay")
_MARK = ".mpcstats-demo"


def demo(
    out: Annotated[Path, typer.Option(help="Folder for parties, results and report; made anew.")] = Path(
        "mpcstats-demo"
    ),
    parties: Annotated[Path | None, typer.Option(help="Folder with northfield, lakeside and westbay.")] = None,
) -> None:
    """Run three institutions on this machine: joint count, survival analysis and GWAS, checked on the pooled data."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    started = time.monotonic()
    _require_checkers()
    source = _parties_folder(parties)
    folder = _fresh_folder(out)
    _prepare_kernels(console)
    with _ended_by_signals():
        steps = _run(console, source, folder)
    report = _report(steps, folder)
    _summary(console, steps, report, folder)
    console.print(f"\n[bold]done in {time.monotonic() - started:.0f} s[/bold]")


def _require_checkers() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("lifelines", "statsmodels") if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"the demonstration checks its results with {' and '.join(missing)}, which are not installed",
            hint="pip install 'mpcstats[demo]'",
        )


def _parties_folder(given: Path | None) -> Path:
    candidates = (
        [given]
        if given
        else [Path("parties"), Path(__file__).parent / "parties", Path(__file__).parents[3] / "parties"]
    )
    for folder in candidates:
        if all((folder / name / "party.toml").is_file() for name in NAMES):
            return folder
    raise ConfigurationError(f"no folder with {', '.join(NAMES)} was found", hint="mpcstats demo --parties FOLDER")


def _fresh_folder(out: Path) -> Path:
    """An empty folder with our mark. Only a folder with the mark is replaced, whatever else looks like ours."""
    other = "mpcstats demo --out FOLDER"
    mark = out / _MARK
    try:
        if out.is_symlink() or (out.exists() and not out.is_dir()):
            raise ConfigurationError(f"{out} is not a folder", hint=other)
        if out.is_dir() and any(out.iterdir()):
            if not mark.is_file():
                raise ConfigurationError(f"{out} exists and is not from an earlier demonstration", hint=other)
            _refuse_while_nodes_run(out)
            shutil.rmtree(out)
        out.mkdir(parents=True, exist_ok=True)
        mark.write_text("`mpcstats demo` made this folder, and replaces it when it runs again.\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the folder {out} cannot be made: {error.strerror}", hint=other) from None
    return out


def _refuse_while_nodes_run(out: Path) -> None:
    from mpcstats.node.identity.lockfile import lock_holder

    for name in NAMES:
        process = lock_holder(out / "parties" / name / "state")
        if process is not None:
            raise ConfigurationError(
                f"another demonstration runs in {out}: process {process} is its node {name}",
                hint=f"wait for it, stop it with kill {process}, or mpcstats demo --out FOLDER",
            )


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM (as of `timeout`) and SIGHUP (a closed terminal) end the run as Ctrl-C does: no node is left behind."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    # under nohup SIGHUP is ignored, and stays so
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _prepare_kernels(console: Console) -> None:
    # once, before three processes would each do it at the same time
    with console.status("preparing the arithmetic (compiled once, some seconds)"):
        from mpcstats.field import warm_up

        started = time.monotonic()
        warm_up()
    console.print(f"arithmetic ready ({time.monotonic() - started:.1f} s)")


def _run(console: Console, source: Path, folder: Path) -> list[Step]:
    from mpcstats.cli.demo.pooled import Pooled
    from mpcstats.cli.demo.steps import Demonstration
    from mpcstats.sdk.connected import ConnectedConsortium
    from mpcstats.sdk.processes import ProcessNetwork
    from mpcstats.sdk.sandbox import make_party_directories

    directories = make_party_directories(folder / "parties", {name: source / name for name in NAMES}, consortium="demo")
    console.print(f"three institutions with fresh keys in {folder / 'parties'}")
    done: list[Step] = []
    with console.status("starting three party nodes") as status, ProcessNetwork(directories) as network:
        for node in network:
            address = node.client.directory.config.network.listen
            console.print(
                f"  {node.name:<11} mpcstats party start  process {node.process.pid}, mutual TLS on {address}"
            )
        connected = ConnectedConsortium(directories[NAMES[0]], progress=status.update)
        show = Demonstration(connected, Pooled(list(directories.values())), folder)
        for number, (title, step) in enumerate(show.steps, 1):
            status.update(title)
            done.append(step())
            _print_step(console, number, len(show.steps), title, done[-1])
    return done


def _print_step(console: Console, number: int, total: int, title: str, step: Step) -> None:
    console.print(f"\n[bold]\\[{number}/{total}] {title}[/bold]   {step.seconds:.1f} s")
    for result in step.results:
        for line in result.headline().splitlines():
            console.print(f"  {line}".rstrip(), markup=False)
        entries = [entry for entry in result.run["opened"] if entry["values"]]
        opened = ", ".join(f"{entry['name']} ({entry['values']:,})" for entry in entries)
        _print_wrapped(console, "opened", opened, "dim")
        for line in result.withheld:
            _print_wrapped(console, "withheld", line, "yellow")
    if step.check is not None:
        what, difference = step.check
        _print_wrapped(console, "check on the pooled plaintext", f"{what}: {difference:.2g}", "green")


def _print_wrapped(console: Console, name: str, text: str, style: str) -> None:
    width = min(max(console.width, 80), 120)
    lines = textwrap.wrap(f"{name}: {text}", width, initial_indent=" " * 2, subsequent_indent=" " * 6)
    for line in lines:
        console.print(line, style=style, markup=False)


def _report(steps: list[Step], folder: Path) -> Path:
    from mpcstats.cli.demo.steps import SIDE_BY_SIDE
    from mpcstats.sdk.report import Section, table_html, write_report
    from mpcstats.sdk.results import LogrankResult

    sections = []
    for step in steps:
        p_text = next((result.p_text for result in step.results if isinstance(result, LogrankResult)), None)
        for k, result in enumerate(step.results):
            note = f"{step.check[0]}: {step.check[1]:.2g}" if step.check and not k else None
            title = step.title if not k else f"{step.title}: {result.outcome.analysis}"
            sections.append(Section(title[:1].upper() + title[1:], result, note=note, p_text=p_text))
    sections.append(Section("The exact curve beside the standard one", html=_picture(folder / SIDE_BY_SIDE)))
    rows = [
        {"analysis": step.title, "seconds": f"{step.seconds:.1f}", "values opened": f"{step.opened:,}"}
        | {f"bytes sent by {name}": f"{count:,}" for name, count in step.bytes_sent.items()}
        for step in steps
    ]
    sections.append(Section("What it cost", html=table_html(rows)))
    facts = {
        "Institutions": ", ".join(NAMES) + ": three processes on one machine, own keys, mutual TLS",
        "Secrecy": "Shamir sharing, threshold 1: no single institution learns anything beyond the tables below",
        "Data": "NCCTG lung cancer (lifelines, MIT) by enrolling institution; simulated genotypes of regenie (MIT)",
    }
    return write_report(folder / "report.html", "mpcstats demonstration", sections, facts)


def _picture(path: Path) -> str:
    from base64 import b64encode

    data = b64encode(path.read_bytes()).decode()
    return f'<img alt="exact and rounded survival curves" style="max-width:100%" src="data:image/png;base64,{data}">'


def _summary(console: Console, steps: list[Step], report: Path, folder: Path) -> None:
    from rich.table import Table

    table = Table(title="what it cost, and what each party sent", title_justify="left", box=None, pad_edge=False)
    table.add_column("analysis", no_wrap=True)
    for name in ("seconds", "opened", *NAMES):
        table.add_column(name, justify="right", no_wrap=True)
    for step in steps:
        table.add_row(
            step.title, f"{step.seconds:.1f}", f"{step.opened:,}", *(_bytes(step.bytes_sent[name]) for name in NAMES)
        )
    console.print()
    console.print(table)
    console.print(f"\nreport    {report}")
    for step in steps:
        names = ", ".join(str(path.relative_to(folder)) for path in step.files)
        for line in textwrap.wrap(names, 68):
            console.print(f"          {line}", style="dim", markup=False)


def _bytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
