"""One's own house: every file, key and limit that would stop a node is named before it does."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.node.doctor.findings import Finding, exit_code
from mpcstats.node.doctor.local import check_house
from mpcstats.node.identity.keys import create_identity
from mpcstats.node.identity.lockfile import hold_lock
from mpcstats.testing.processes import PartyFiles, make_party_directories
from tests.node.doctor.servers import make_pair

DICTIONARY = 'id = "d"\n[[column]]\nname = "age"\ntype = "integer"\n'


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    main = PartyFiles(datasets={"main": {"table": "t.csv", "dictionary": "d.toml"}})
    files = {"alpha": main, "beta": PartyFiles(), "gamma": PartyFiles(role="compute")}
    return make_party_directories(tmp_path_factory.mktemp("house"), files)


@pytest.fixture
def alpha(parties: dict[str, Path], tmp_path: Path) -> Path:
    shutil.copytree(parties["alpha"], tmp_path / "alpha")
    (tmp_path / "alpha" / "d.toml").write_text(DICTIONARY)
    (tmp_path / "alpha" / "t.csv").write_text("age\n40\n")
    return tmp_path / "alpha"


def look(path: Path, **environment: str) -> list[Finding]:
    return check_house(path, environment)[0]


def bad(path: Path, **environment: str) -> dict[str, str]:
    """Code -> status of what is not ok."""
    return {finding.code: finding.status for finding in look(path, **environment) if finding.status != "ok"}


def test_all_is_well(alpha: Path) -> None:
    found = look(alpha)
    assert [finding.what for finding in found if finding.status == "problem"] == []
    checks = [finding.check for finding in found if finding.status == "ok"]
    assert checks[:7] == ["software", "clock", "party.toml", "keys", "certificate", "policy", "roster"]
    assert "data set main" in checks
    assert exit_code(found) == 0


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    found, directory = check_house(tmp_path)
    assert directory is None
    assert (found[-1].code, exit_code(found)) == ("E1721", 1)


@pytest.mark.parametrize("name", ["node.key", "node.crt", "signing.key"])
def test_keys_that_are_missing_or_open(alpha: Path, name: str) -> None:
    (alpha / "keys" / name).chmod(0o640)
    found = next(finding for finding in look(alpha) if finding.code == "E1722")
    assert found.next == f"chmod 600 {alpha / 'keys' / name}"
    (alpha / "keys" / name).unlink()
    assert "problem" in {bad(alpha).get("E1722"), bad(alpha).get("E1723")}
    shutil.rmtree(alpha / "keys")
    assert "party init" in next(finding for finding in look(alpha) if finding.code == "E1722").next


def test_a_signing_key_of_somebody_else(alpha: Path, parties: dict[str, Path]) -> None:
    shutil.copyfile(parties["beta"] / "keys" / "signing.key", alpha / "keys" / "signing.key")
    assert bad(alpha) == {"E1722": "problem"}


@pytest.mark.parametrize(
    ("first", "last", "status", "words"),
    [(-9, -1, "problem", "expired"), (2, 99, "problem", "not valid before"), (-9, 20, "warning", "in 20 days")],
)
def test_dates_of_the_own_certificate(alpha: Path, first: int, last: int, status: str, words: str) -> None:
    pair = make_pair("alpha", first, last)
    (alpha / "keys" / "node.crt").write_bytes(pair.certificate_pem)
    (alpha / "keys" / "node.key").write_bytes(pair.key_pem)
    found = next(finding for finding in look(alpha) if finding.code == "E1723")
    assert found.status == status
    assert words in found.what


def test_a_certificate_of_the_roster_that_expired(alpha: Path) -> None:
    path = alpha / "roster.toml"
    text = path.read_text()
    start = text.index("'''", text.index('name = "beta"')) + 4
    stop = text.index("'''", start)
    path.write_text(text[:start] + make_pair("beta", -9, -3).certificate_pem.decode() + text[stop:])
    found = [finding for finding in look(alpha) if finding.status == "problem"]
    assert [(finding.code, finding.party) for finding in found] == [("E1707", "beta"), ("E1725", "")]
    assert "3.0 days ago" in found[0].what


def test_a_key_that_is_in_no_roster_or_revoked(alpha: Path) -> None:
    shutil.rmtree(alpha / "keys")
    create_identity(alpha, "alpha")
    found = next(finding for finding in look(alpha) if finding.code == "E1725")
    assert found.what == "our key is not in the roster"
    old = (alpha / "roster.toml").read_text()
    for path in (alpha / "state" / "rosters").glob("*.toml"):
        start = old.index("'''", old.index('name = "alpha"')) + 4
        own = (alpha / "keys" / "node.crt").read_text()
        path.write_text(old[:start] + own + old[old.index("'''", start) :])
    found = next(finding for finding in look(alpha) if finding.code == "E1725")
    assert found.what == "our key was in an earlier version of the roster: it is revoked"


def test_files_that_are_wrong(alpha: Path) -> None:
    (alpha / "roster.toml").unlink()
    assert bad(alpha) == {"E1725": "warning"}
    (alpha / "roster.toml").write_text("oops")
    (alpha / "d.toml").write_text("oops")
    (alpha / "policy.toml").write_text('extends = "nothing"')
    assert bad(alpha) == {"E1724": "problem", "E1725": "problem", "E1726": "problem"}
    (alpha / "d.toml").write_text(DICTIONARY)
    (alpha / "t.csv").unlink()
    assert bad(alpha)["E1726"] == "problem"


def test_the_port(alpha: Path) -> None:
    from mpcstats.node.settings.config import PartyDirectory

    port = int(PartyDirectory(alpha).config.network.listen.split(":")[1])
    with socket.create_server(("127.0.0.1", port)):
        assert bad(alpha) == {"E1727": "problem"}
        with hold_lock(alpha / "state"):
            assert bad(alpha) == {}
            assert f"runs (process {os.getpid()})" in [finding.what for finding in look(alpha)]


def test_a_state_database_that_is_none(alpha: Path) -> None:
    assert any(finding.what == "reachable (sqlite)" for finding in look(alpha))
    (alpha / "state" / "state.db").write_text("no database, but text that is long enough to be looked at" * 9)
    assert bad(alpha) == {"E1732": "problem"}
    config = alpha / "party.toml"
    config.write_text(config.read_text() + '[storage]\nstate = "nonsense"\n')
    assert bad(alpha) == {"E1732": "problem"}


def test_little_room(alpha: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1 << 30))
    assert bad(alpha) == {"E1728": "warning"}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1 << 20))
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 256))

    def nothing(size: int, flags: int) -> bytes:
        raise BlockingIOError

    monkeypatch.setattr(os, "getrandom", nothing)
    assert bad(alpha) == {"E1728": "problem", "E1730": "problem", "E1731": "warning"}


def test_proxies_are_named_and_not_shown(alpha: Path) -> None:
    found = [finding for finding in look(alpha, HTTPS_PROXY="http://me:hunter2@proxy:8080") if finding.code == "E1718"]
    assert [finding.status for finding in found] == ["warning"]
    assert found[0].what.startswith("HTTPS_PROXY set")
    assert "hunter2" not in str(found)


def test_the_command(alpha: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--party", str(alpha), "--json"])
    assert (result.exit_code, json.loads(result.stdout)["exit_code"]) == (0, 0)
    (alpha / "keys" / "node.key").chmod(0o644)
    result = CliRunner().invoke(app, ["doctor", "--party", str(alpha)], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "[E1722]" in result.stdout
    assert "chmod 600" in result.stdout
