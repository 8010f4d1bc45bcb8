"""The command itself: set up three institutions, run the steps, report."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpcstats.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from mpcstats.cli.demo.steps import Step

__all__ = ["demo"]

NAMES = ("northfield", "lakeside", "westbay")


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
    if out.exists():
        # only what an earlier demonstration made is replaced
        if any(out.iterdir()) and not (out / "parties").is_dir():
            raise ConfigurationError(
                f"{out} exists and is not from an earlier demonstration", hint="mpcstats demo --out FOLDER"
            )
        shutil.rmtree(out)
    out.mkdir(parents=True)
    return out


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
    from mpcstats.sdk.sandbox import ProcessNetwork, make_party_directories

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
            console.print(f"      {line}".rstrip())
        entries = [entry for entry in result.run["opened"] if entry["values"]]
        opened = ", ".join(f"{entry['name']} ({entry['values']:,})" for entry in entries)
        console.print(f"      opened: {opened}", style="dim")
        for line in result.withheld:
            console.print(f"      withheld: {line}", style="yellow")
    if step.check is not None:
        what, difference = step.check
        console.print(f"      check on the pooled plaintext: {what}: [green]{difference:.1e}[/green]")


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
            sections.append(Section(title.capitalize(), result, note=note, p_text=p_text))
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

    table = Table(title="what it cost, and what each party sent", title_justify="left", box=None, padding=(0, 2, 0, 0))
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
        console.print(f"          {', '.join(str(path.relative_to(folder)) for path in step.files)}", style="dim")


def _bytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
