"""Keys with a passphrase: where it comes from, what happens without, and how it is changed."""

import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.errors import ConfigurationError
from mpcstats.node.consortium.joining import new_keys
from mpcstats.node.governance.people import add_person, person_key
from mpcstats.node.identity import passphrase, protection
from mpcstats.node.identity.lockfile import hold_lock
from mpcstats.node.identity.passphrase import find_passphrase, is_protected, opened, protected, read_passphrase_file
from mpcstats.node.identity.protection import change_passphrase
from mpcstats.node.runs.journal import storage_key
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.setup import create_party

FIRST, SECOND = "correct horse battery", "staple of another kind"
KEYS = ("node.key", "signing.key", "storage.key")


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch):
    """Neither a terminal nor a passphrase of whoever runs the tests."""
    for name in ("MPCSTATS_PASSPHRASE_FILE", "MPCSTATS_PERSON_PASSPHRASE_FILE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(passphrase, "_typed", {})
    monkeypatch.setattr("sys.stdin", None)


@pytest.fixture
def party(tmp_path):
    create_party(tmp_path / "p", name="northfield", listen="127.0.0.1:4710", advertise="127.0.0.1:4710")
    storage_key(tmp_path / "p")
    return tmp_path / "p"


def secret_file(path, text):
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def contents(party):
    return {name: (party / "keys" / name).read_bytes() for name in KEYS}


def test_all_keys_are_protected_changed_and_as_before(party, tmp_path, monkeypatch):
    before = contents(party)
    pair, signing = PartyDirectory(party, {}).identity(), PartyDirectory(party, {}).signing_key()
    assert len(change_passphrase(party, None, FIRST)) == 3
    for name, content in contents(party).items():
        assert is_protected(content)
        assert before[name] not in content
        assert stat.S_IMODE((party / "keys" / name).stat().st_mode) == 0o600
    with pytest.raises(ConfigurationError, match=r"(?s)has a passphrase, and none is given.*MPCSTATS_PASSPHRASE_FILE"):
        PartyDirectory(party, {}).identity()
    monkeypatch.setenv("MPCSTATS_PASSPHRASE_FILE", str(secret_file(tmp_path / "one", FIRST)))
    assert PartyDirectory(party, {}).identity() == pair
    assert PartyDirectory(party, {}).signing_key().public == signing.public
    assert storage_key(party) == before["storage.key"]
    change_passphrase(party, FIRST, SECOND)
    with pytest.raises(ConfigurationError, match=r"does not open node\.key"):
        PartyDirectory(party, {}).identity()
    change_passphrase(party, SECOND, None)
    assert contents(party) == before
    assert sorted(path.name for path in (party / "keys").iterdir()) == sorted([*KEYS, "node.crt"])


def test_where_the_passphrase_comes_from(party, tmp_path, monkeypatch):
    assert find_passphrase(party, environment={}) is None
    config = party / "party.toml"
    config.write_text(config.read_text() + '[keys]\npassphrase_file = "pass"\n')
    secret_file(party / "pass", "from party.toml")
    assert find_passphrase(party, environment={}) == "from party.toml"
    assert find_passphrase(party / "next", environment={}) == "from party.toml"  # keys that are not in use yet
    named = {"MPCSTATS_PASSPHRASE_FILE": str(secret_file(tmp_path / "named", "from the environment"))}
    assert find_passphrase(party, environment=named) == "from the environment"
    secret_file(tmp_path / "mpcstats-passphrase", "from systemd").chmod(0o440)
    assert find_passphrase(party, environment=named | {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "from systemd"
    (tmp_path / "mpcstats-passphrase").unlink()  # credentials for something else
    assert (
        find_passphrase(party, environment=named | {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "from the environment"
    )


def test_it_is_typed_once(party, monkeypatch):
    change_passphrase(party, None, FIRST)
    asked = []

    class Terminal:
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda question: asked.append(question) or FIRST)
    PartyDirectory(party, {}).signing_key()
    storage_key(party)
    assert len(asked) == 1


@pytest.mark.parametrize(("text", "mode", "says"), [("x" * 20, 0o640, "other users"), ("", 0o600, "no passphrase")])
def test_files_with_a_passphrase_that_are_refused(tmp_path, text, mode, says):
    secret_file(tmp_path / "file", text).chmod(mode)
    with pytest.raises(ConfigurationError, match=says):
        read_passphrase_file(tmp_path / "file")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_passphrase_file(tmp_path / "nothing")


def test_every_changed_bit_is_noticed_and_so_is_another_name():
    whole = protected(b"key", "node.key", FIRST)
    assert opened(whole, "node.key", FIRST) == b"key"
    start = whole.index(b"\n") + 1
    for place in (start, *range(start + 16, len(whole))):  # of the salt one byte: each costs a key derivation
        with pytest.raises(ConfigurationError):
            opened(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], "node.key", FIRST)
    for cut in (start, start + 5, start + 28, len(whole) - 1):
        with pytest.raises(ConfigurationError):
            opened(whole[:cut], "node.key", FIRST)
    with pytest.raises(ConfigurationError):
        opened(whole, "signing.key", FIRST)
    assert protected(b"key", "node.key", FIRST) != whole  # a salt and a nonce of its own


def test_a_change_that_is_interrupted_can_be_finished(party, monkeypatch):
    change_passphrase(party, None, FIRST)
    before = contents(party)
    replaced = []

    def dying(self, target):
        if len(replaced) == 1:
            raise OSError(5, "the disk is gone")
        replaced.append(os.replace(self, target))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying)
        with pytest.raises(OSError, match="gone"):
            change_passphrase(party, FIRST, SECOND)
    after = contents(party)
    assert sum(before[name] != after[name] for name in KEYS) == 1
    assert len(list((party / "keys").iterdir())) == 4  # nothing is left beside
    assert len(change_passphrase(party, FIRST, SECOND)) == 2
    assert all(opened(content, name, SECOND) for name, content in contents(party).items())


def test_a_disk_that_is_full_changes_nothing(party, monkeypatch):
    before = contents(party)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(protection.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            change_passphrase(party, None, FIRST)
    assert contents(party) == before
    assert len(list((party / "keys").iterdir())) == 4


def test_what_is_refused(party):
    with pytest.raises(ConfigurationError, match="12 characters"):
        change_passphrase(party, None, "short")
    change_passphrase(party, None, FIRST)
    with pytest.raises(ConfigurationError, match="does not open"):
        change_passphrase(party, SECOND, None)
    with pytest.raises(ConfigurationError, match="none is given"):
        change_passphrase(party, None, SECOND)
    with hold_lock(party / "state"), pytest.raises(ConfigurationError, match="another node"):
        change_passphrase(party, FIRST, None)


def test_keys_that_are_made_later_are_protected_alike(party, tmp_path, monkeypatch):
    (party / "keys" / "storage.key").unlink()
    change_passphrase(party, None, FIRST)
    monkeypatch.setenv("MPCSTATS_PASSPHRASE_FILE", str(secret_file(tmp_path / "one", FIRST)))
    key = storage_key(party)
    assert len(key) == 32
    assert is_protected((party / "keys" / "storage.key").read_bytes())
    assert storage_key(party) == key
    new_keys(PartyDirectory(party, {}))
    for name in ("node.key", "signing.key"):
        assert is_protected((party / "next" / "keys" / name).read_bytes())
    # of the next keys, too
    assert len(change_passphrase(party, FIRST, None)) == 5


def test_the_key_of_a_person_has_the_persons_passphrase(party, tmp_path, monkeypatch):
    path = add_person(party, "dpo@northfield.example")
    public = person_key(party, "dpo@northfield.example").public
    secret_file(tmp_path / "mine", SECOND)
    arguments = ["party", "passphrase", str(party), "--person", "dpo@northfield.example"]
    done = CliRunner().invoke(app, [*arguments, "--new-file", str(tmp_path / "mine")])
    assert done.exit_code == 0, done.output
    assert is_protected(path.read_bytes())
    # the node's own passphrase is not tried on it
    monkeypatch.setenv("MPCSTATS_PASSPHRASE_FILE", str(tmp_path / "mine"))
    with pytest.raises(ConfigurationError, match="MPCSTATS_PERSON_PASSPHRASE_FILE"):
        person_key(party, "dpo@northfield.example")
    monkeypatch.setenv("MPCSTATS_PERSON_PASSPHRASE_FILE", str(tmp_path / "mine"))
    assert person_key(party, "dpo@northfield.example").public == public


def test_the_command(party, tmp_path):
    first, second = secret_file(tmp_path / "one", FIRST), secret_file(tmp_path / "two", SECOND)
    done = CliRunner().invoke(app, ["party", "passphrase", str(party), "--new-file", str(first)])
    assert done.exit_code == 0, done.output
    assert done.output.count("protected") == 3
    assert FIRST not in done.output
    arguments = ["party", "passphrase", str(party), "--old-file", str(first)]
    assert CliRunner().invoke(app, [*arguments, "--new-file", str(second)]).exit_code == 0
    failed = CliRunner().invoke(app, [*arguments, "--remove"])
    assert isinstance(failed.exception, ConfigurationError)
    done = CliRunner().invoke(app, ["party", "passphrase", str(party), "--old-file", str(second), "--remove"])
    assert "has no passphrase" in done.output
    assert not any(map(is_protected, contents(party).values()))
