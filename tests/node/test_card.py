"""What a card says of the institution stays on the card."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.errors import ConfigurationError
from mpcstats.node.consortium.roster import CARD_ONLY, load_card, make_roster
from mpcstats.node.settings.setup import create_party

LEGAL = 'Uppsala universitet "UU"'


def test_from_party_init_to_the_card_and_no_further(tmp_path: Path) -> None:
    runner = CliRunner()
    options = ["--legal", LEGAL, "--contact", "it@uu.example", "--dpo", "dpo@uu.example", "--listen", "127.0.0.1:4711"]
    result = runner.invoke(app, ["party", "init", str(tmp_path / "uppsala"), "--name", "uppsala", *options])
    assert result.exit_code == 0, result.exception
    assert tomllib.loads((tmp_path / "uppsala" / "party.toml").read_text())["legal"] == LEGAL
    for number, name in enumerate(("lund", "umea")):
        create_party(tmp_path / name, name=name, listen=f"127.0.0.1:{number + 1}", advertise=f"127.0.0.1:{number + 1}")
    cards = {}
    for name in ("uppsala", "lund", "umea"):
        (tmp_path / f"{name}.toml").write_text(runner.invoke(app, ["party", "card", str(tmp_path / name)]).stdout)
        cards[name] = load_card(tmp_path / f"{name}.toml")
    assert (cards["uppsala"].legal, cards["uppsala"].contact, cards["uppsala"].dpo) == (
        LEGAL,
        "it@uu.example",
        "dpo@uu.example",
    )
    assert not set(CARD_ONLY) & set(tomllib.loads((tmp_path / "lund.toml").read_text()))
    roster = make_roster("demo", list(cards.values()))
    bare = cards["uppsala"].model_copy(update=dict.fromkeys(CARD_ONLY, ""))
    assert roster.digest == make_roster("demo", [bare, cards["lund"], cards["umea"]]).digest
    assert "uu.example" not in roster.to_toml()


def test_what_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="legal"):
        create_party(
            tmp_path / "a", name="aa", listen="127.0.0.1:1", advertise="127.0.0.1:1", institution={"legal": "x" * 301}
        )
    assert not (tmp_path / "a").exists()
