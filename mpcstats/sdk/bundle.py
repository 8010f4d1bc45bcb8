"""Writing the bundle of a released result: tables, plots, report and the documents that prove where they come from."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mpcstats.errors import SpecError
from mpcstats.node.bundles.parts import BundleParts, make_bundle
from mpcstats.node.consortium.roster import Roster
from mpcstats.sdk.plots.style import png_bytes
from mpcstats.sdk.report import Section, write_report
from mpcstats.sdk.results import wrap
from mpcstats.stats.outcome import Outcome
from mpcstats.study.certificate import SignedCertificate
from mpcstats.study.entries import SignedEntry
from mpcstats.study.signing import SigningKey

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mpcstats.sdk.results import Result

__all__ = ["write_bundle"]


def write_bundle(
    path: str | Path,
    outcome: Outcome,
    roster: Roster,
    *,
    key: SigningKey,
    party: str,
    entries: Sequence[SignedEntry] = (),
    study_toml: str = "",
    plots: bool = True,
) -> Path:
    """Write a result bundle; `mpcstats verify` checks it.

    Parameters
    ----------
    path : file to write; its folder is made as needed
    outcome : Outcome
        A released result whose run was certified.
    roster : Roster
        Under which it was computed.
    key, party
        The party that writes the bundle, and its signing key.
    entries : sequence of SignedEntry
        Those that joined the roster, and those of the study.
    study_toml : str
        The study as people wrote it.
    plots : bool
        With pictures and report.

    Raises
    ------
    SpecError
        The run has no certificate.
    BundleInvalid
        It would be too large.
    """
    if "certificate" not in outcome.run:
        raise SpecError("the run has no certificate", hint="certificates are made where runs of deployed parties end")
    certificate = SignedCertificate.model_validate(outcome.run["certificate"])
    shown = _shown(wrap(outcome), certificate.certificate.run) if plots else {}
    parts = BundleParts(outcome, certificate, roster, entries, study_toml, shown)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(make_bundle(parts, key, party))
    return target


def _shown(result: Result, run: str) -> dict[str, bytes]:
    """Pictures and the report."""
    import matplotlib.pyplot as plt

    files: dict[str, bytes] = {}
    for name, figure in result.figures().items():
        files[f"plots/{name}.png"] = png_bytes(figure)
        files[f"plots/{name}.svg"] = _svg_bytes(figure)
        plt.close(figure)
    with TemporaryDirectory() as folder:
        report = write_report(
            Path(folder) / "report.html", result.title, [Section(result.title, result=result)], {"run": run}
        )
        files["report.html"] = report.read_bytes()
    plt.close("all")
    return files


def _svg_bytes(figure: Figure) -> bytes:
    """The figure as SVG, without a date and with names that follow from the content."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "mpcstats"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
