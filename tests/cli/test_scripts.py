"""scripts/setup.sh under /bin/sh, with an interpreter that only writes down what it is asked to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

# answers as an interpreter does where setup.sh asks, makes an "environment" of copies of itself, and logs the rest
INTERPRETER = """#!/bin/sh
case "$*" in
    -c*'sys.exit('*) exit "${FAKE_TOO_OLD:-0}" ;;
    -c*) echo "${FAKE_VERSION:-3.12}" ;;
    "-m venv"*)
        [ -z "${FAKE_NO_VENV:-}" ] || { echo "No module named venv"; exit 1; }
        for last in "$@"; do :; done
        mkdir -p "$last/bin"
        cp "$0" "$last/bin/python" && cp "$0" "$last/bin/pip" && cp "$0" "$last/bin/mpcstats" ;;
esac
echo "$(basename "$0") $*" >>"$FAKE_LOG"
"""


@pytest.fixture
def clone(tmp_path):
    root = tmp_path / "a clone"
    shutil.copytree(SCRIPTS, root / "scripts")
    (root / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "python3"
    fake.write_text(INTERPRETER)
    fake.chmod(0o755)
    return root


def run(clone, script, *arguments, **environment):
    log = clone.parent / "log"
    log.unlink(missing_ok=True)
    kept = {key: value for key, value in os.environ.items() if key != "PYTHON"}
    path = f"{clone.parent / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", f"scripts/{script}", *arguments],
        cwd=clone,
        env=kept | {"PATH": path, "FAKE_LOG": str(log)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done, log.read_text().splitlines() if log.exists() else []


def installs(calls):
    return [call.split()[-1] for call in calls if "pip install" in call]


def test_the_demonstration_sets_up_and_gets_its_arguments(clone):
    done, calls = run(clone, "demo", "--out", "some folder")
    assert done.returncode == 0, done.stderr
    assert installs(calls) == [".[demo]"]
    assert calls[-1] == "mpcstats demo --out some folder"
    _, calls = run(clone, "demo")
    assert calls == ["mpcstats demo"]


def test_a_larger_set_of_extras_is_added_and_kept(clone):
    run(clone, "demo")
    _, calls = run(clone, "test", "tests/field")
    assert installs(calls) == [".[test]"]
    assert calls[-1].endswith("tests/field")
    (clone / "pyproject.toml").write_text("[project]\nname = 'changed'\n")
    assert installs(run(clone, "demo")[1]) == [".[test]"]


def test_a_stopped_attempt_is_taken_up_again(clone):
    run(clone, "demo")
    (clone / ".venv/bin/pip").unlink()
    (clone / ".venv/mpcstats-installed").unlink()
    done, calls = run(clone, "demo")
    assert done.returncode == 0, done.stderr
    assert installs(calls) == [".[demo]"]


def test_a_moved_clone_gets_an_environment_of_its_own(clone):
    run(clone, "test")
    moved = clone.rename(clone.parent / "moved")
    done, calls = run(moved, "demo")
    assert "making .venv" in done.stderr
    assert installs(calls) == [".[demo]"]


def test_the_interpreter_that_was_named_is_used_or_refused(clone):
    named = clone.parent / "python"
    shutil.copy(clone.parent / "bin" / "python3", named)
    done, _ = run(clone, "demo", PYTHON=str(named), FAKE_TOO_OLD="1")
    assert done.returncode == 1
    assert f"PYTHON={named} is not Python 3.11, 3.12 or 3.13" in done.stderr
    assert run(clone, "demo", PYTHON=str(named))[0].returncode == 0
    (clone / ".venv/bin/python").write_text(INTERPRETER.replace("3.12", "3.11"))
    done, _ = run(clone, "demo", PYTHON=str(named))
    assert done.returncode == 1
    assert "made with Python 3.11, and PYTHON asks for 3.12" in done.stderr


def test_without_the_module_venv_the_package_to_install_is_named(clone):
    done, _ = run(clone, "demo", FAKE_NO_VENV="1")
    assert done.returncode == 1
    assert "No module named venv" in done.stderr
    assert "apt install python3-venv" in done.stderr
    assert not (clone / ".venv").exists()
