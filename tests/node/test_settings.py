"""Settings from the environment: every one, and where each value comes from."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.errors import ConfigurationError
from mpcstats.node.settings.config import SHORT_VARIABLES, PartyConfig, PartyDirectory
from mpcstats.node.settings.environment import settings_of

ROOT = Path(__file__).parents[2]

PARTY = """\
apiVersion = "mpcstats/v1"
kind = "Party"
name = "northfield"
role = "data"
operator = "Northfield Hospital"
[network]
listen = "127.0.0.1:4710"
advertise = "mpc.northfield.example:4710"
[run]
patience_seconds = 12
"""

# a value of each kind of setting that is not its default; new settings are tried with them, too
_VALUES = {
    "name": "southfield",
    "role": "compute",
    "network.listen": "127.0.0.1:4999",
    "network.advertise": "else.example:4999",
    "storage.retain_shares": "36h",
    "limits.tz": "Europe/Stockholm",
    "limits.quiet_hours": "07:00-18:00",
    "logging.level": "debug",
    "limits.memory_mb": "4000",
    "observability.metrics": "127.0.0.1:4999",
}


def read(folder, environment, text=PARTY):
    (folder / "party.toml").write_text(text)
    return PartyDirectory(folder, environment)


def value_for(setting):
    """A text for a setting that its model takes."""
    if setting.name in _VALUES:
        return _VALUES[setting.name]
    kind, default = setting.field.annotation, setting.field.default
    if kind is bool:
        return str(not default).lower()
    if kind in {int, float}:
        return str(default + 1)
    return "127.0.0.1:4999" if "host:port" in str(setting.field) else "something"


@pytest.mark.parametrize("setting", list(settings_of(PartyConfig, SHORT_VARIABLES)), ids=lambda setting: setting.name)
def test_every_setting_can_come_from_the_environment(tmp_path, setting):
    text = value_for(setting)
    together = {"MPCSTATS_LIMITS__TZ": "Europe/Paris"} if setting.name == "limits.quiet_hours" else {}
    for variable in filter(None, (setting.variable, setting.short)):
        directory = read(tmp_path, together | {variable: text})
        (found,) = [row for row in directory.settings() if row[0].place == setting.place]
        assert str(found[1]).lower() == (f"{float(text)}" if isinstance(found[1], float) else text).lower()
        assert found[2] == f"environment {variable}"


def test_where_values_come_from(tmp_path):
    directory = read(tmp_path, {"MPCSTATS_RUN__QUEUE_SECONDS": "7"})
    rows = {setting.name: (value, origin) for setting, value, origin in directory.settings()}
    assert rows["run.patience_seconds"] == (12.0, "file")
    assert rows["run.queue_seconds"] == (7.0, "environment MPCSTATS_RUN__QUEUE_SECONDS")
    assert rows["run.preparation_seconds"] == (300.0, "default")
    assert rows["network.listen"] == ("127.0.0.1:4710", "file")


def test_a_section_that_the_file_lacks(tmp_path):
    bare = PARTY.partition("[network]")[0]
    given = {"MPCSTATS_NETWORK__LISTEN": "127.0.0.1:1", "MPCSTATS_NETWORK__ADVERTISE": "a.example:1"}
    assert read(tmp_path, given, bare).config.network.listen == "127.0.0.1:1"
    with pytest.raises(ConfigurationError, match="run"):  # a section that is no section stays wrong
        read(tmp_path, {"MPCSTATS_RUN__QUEUE_SECONDS": "7"}, "run = 3\n" + PARTY.partition("[run]")[0])


def test_errors_name_the_variable_and_never_its_value(tmp_path):
    with pytest.raises(ConfigurationError, match=r"environment variable MPCSTATS_RUN__QUEUE_SECONDS") as caught:
        read(tmp_path, {"MPCSTATS_RUN__QUEUE_SECONDS": "canary"})
    assert "canary" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="did you mean MPCSTATS_RUN__QUEUE_SECONDS"):
        read(tmp_path, {"MPCSTATS_RUN__QUEU_SECONDS": "7"})
    with pytest.raises(ConfigurationError, match=r"MPCSTATS_DATASETS__MAIN__TABLE is no setting"):
        read(tmp_path, {"MPCSTATS_DATASETS__MAIN__TABLE": "x"})
    both = {"MPCSTATS_LISTEN": "127.0.0.1:1", "MPCSTATS_NETWORK__LISTEN": "127.0.0.1:2"}
    with pytest.raises(ConfigurationError, match="MPCSTATS_NETWORK__LISTEN and MPCSTATS_LISTEN differ"):
        read(tmp_path, both)
    assert read(tmp_path, dict.fromkeys(both, "127.0.0.1:3")).config.network.listen == "127.0.0.1:3"


def test_the_command_shows_settings_and_no_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MPCSTATS_STORAGE__STATE", "postgresql://mpc:hunter2@db.example/mpc")
    (tmp_path / "party.toml").write_text(PARTY)
    text = CliRunner().invoke(app, ["party", "config", str(tmp_path)])
    assert text.exit_code == 0, text.output
    assert "postgresql://mpc:***@db.example/mpc  environment MPCSTATS_STORAGE__STATE" in text.output
    rows = json.loads(CliRunner().invoke(app, ["party", "config", str(tmp_path), "--json"]).output)
    (row,) = [row for row in rows if row["setting"] == "run.patience_seconds"]
    assert row == {
        "setting": "run.patience_seconds",
        "value": "12.0",
        "from": "file",
        "variable": "MPCSTATS_RUN__PATIENCE_SECONDS",
    }
    assert "hunter2" not in text.output + json.dumps(rows)


def test_the_page_lists_every_setting():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "configuration", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert all(f"`{setting.variable}`" in page for setting in settings_of(PartyConfig, SHORT_VARIABLES))
