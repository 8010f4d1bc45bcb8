"""A bundle with plots and report: written twice it is the same, and it passes every check."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpcstats.errors import SpecError
from mpcstats.node.bundles.archive import read_zip
from mpcstats.node.bundles.checks import check_bundle, failures
from mpcstats.sdk.bundle import write_bundle
from mpcstats.stats.outcome import Outcome
from tests.governance.bundles import STUDY_TOML, released


def test_a_bundle_has_tables_plots_report_and_proofs(tmp_path: Path) -> None:
    run = released()
    written = [
        write_bundle(
            tmp_path / name,
            run.outcome,
            run.roster,
            key=run.keys["lakeside"],
            party="lakeside",
            entries=run.entries,
            study_toml=STUDY_TOML,
        ).read_bytes()
        for name in ("one.zip", "deep/two.zip")
    ]
    assert written[0] == written[1]
    assert failures(check_bundle(written[0], run.roster)) == []
    names = set(read_zip(written[0]))
    assert {"report.html", "plots/plot.png", "plots/plot.svg", "tables/counts.csv", "study.toml"} <= names


def test_without_a_certificate_there_is_no_bundle(tmp_path: Path) -> None:
    run = released()
    bare = Outcome(run.outcome.analysis, run.outcome.tables, run={})
    with pytest.raises(SpecError, match="no certificate"):
        write_bundle(tmp_path / "x.zip", bare, run.roster, key=run.keys["lakeside"], party="lakeside")
