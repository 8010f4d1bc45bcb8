"""The lock of dependencies, the bill of materials, and wheel and sdist: the same bytes anywhere, installed without
compiler, root and network."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def script(name):
    loader = SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


LOCKING = script("lock-dependencies")


def test_the_lock_satisfies_pyproject_with_a_hash_for_everything():
    pyproject, text = (ROOT / "pyproject.toml").read_text(), LOCKING.LOCK.read_text()
    assert LOCKING.problems(pyproject, text) == []
    assert len(LOCKING.locked(text)) > 40
    wanted = pyproject.replace('"structlog>=24.4"', '"structlog>=999", "not-locked>=1"')
    said = LOCKING.problems(wanted, text)
    assert len(said) == 2
    assert said[0].endswith("does not fit structlog>=999")
    assert said[1] == "not-locked is not in the lock"
    assert LOCKING.problems(pyproject, text + "\nloose==1.0\n") == ["loose 1.0 has no hash"]
    with pytest.raises(ValueError, match="pins nothing"):
        LOCKING.locked(text + "\nloose>=1.0\n")


def test_the_bill_of_materials_is_complete_and_the_same_each_time():
    texts = set()
    for seed in "12":
        done = subprocess.run(
            [sys.executable, ROOT / "scripts" / "sbom"],
            env={"PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": "1760000000"},
            capture_output=True,
            text=True,
            check=True,
        )
        texts.add(done.stdout)
    (text,) = texts
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["timestamp"] == "2025-10-09T08:53:20+00:00"
    named = {part["bom-ref"] for part in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {row["ref"] for row in bill["dependencies"]} == named
    assert {ref for row in bill["dependencies"] for ref in row["dependsOn"]} <= named
    names = {part["name"] for part in bill["components"]}
    assert {"numpy", "grpcio", "cryptography", "llvmlite", "cffi"} <= names  # what we need, and what that needs
    assert all(part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}" for part in bill["components"])


def test_an_audit_that_asked_nobody_is_no_good_news(tmp_path):
    audit = ROOT / "scripts" / "audit-dependencies"

    def run(answer):
        package = tmp_path / "pip_audit"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(f"print({answer!r})\n")
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run([sys.executable, audit], env=environment, capture_output=True, text=True, check=False)

    row = {"name": "one", "version": "1.0", "vulns": []}
    weak = {"name": "two", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
    assert run(json.dumps({"dependencies": [row]})).returncode == 0
    done = run(json.dumps({"dependencies": [row, weak]}))
    assert done.returncode == 1
    assert "two 2.0: PYSEC-1, corrected in 2.1" in done.stdout
    assert run("").returncode == 3
    assert run(json.dumps({"dependencies": []})).returncode == 3
    assert run(json.dumps({"dependencies": [row, {"name": "three", "skip_reason": "not there"}]})).returncode == 3


def build(tree, out, umask, zone):
    """Wheel and sdist of a source tree; their digests by name."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1760000000", "TZ": zone, "PYTHONPATH": ""}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(out)],
        cwd=tree,
        env=environment,
        umask=umask,
        check=True,
        capture_output=True,
    )
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Two copies of what is under version control, with other names, modes and times."""
    root = tmp_path_factory.mktemp("build")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("the files of a source tree are known from git")
    made = []
    for name, umask in (("one", 0o022), ("another place", 0o077)):
        for path in filter(None, listed.stdout.split("\0")):
            if (ROOT / path).exists():
                target = root / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / path, target)
                target.chmod(((ROOT / path).stat().st_mode | 0o600) & ~umask)
        made.append(root / name)
    return made


@pytest.mark.long
def test_wheel_and_sdist_are_the_same_bytes_anywhere(trees, tmp_path):
    pytest.importorskip("hatchling")
    one = build(trees[0], tmp_path / "a", 0o022, "UTC")
    two = build(trees[1], tmp_path / "b", 0o077, "Asia/Kathmandu")
    assert len(one) == 2
    assert one == two
    # a wheel made from the sdist is that wheel
    (sdist,) = (tmp_path / "a").glob("*.tar.gz")
    shutil.unpack_archive(sdist, tmp_path / "c", filter="data")
    (unpacked,) = (tmp_path / "c").iterdir()
    again = build(unpacked, tmp_path / "d", 0o022, "America/St_Johns")
    wheel = next(name for name in one if name.endswith(".whl"))
    assert again[wheel] == one[wheel]


@pytest.mark.long
def test_the_wheel_has_every_module_and_no_file_that_a_node_made(trees, tmp_path):
    pytest.importorskip("hatchling")
    for made in ("keys/node.key", "logs/node.log", "state/lock", "roster.toml"):
        path = trees[1] / "parties" / "northfield" / made
        path.parent.mkdir(exist_ok=True)
        path.write_text("private")
    try:
        build(trees[1], tmp_path, 0o022, "UTC")
    finally:
        for made in ("keys", "logs", "state"):
            shutil.rmtree(trees[1] / "parties" / "northfield" / made)
        (trees[1] / "parties" / "northfield" / "roster.toml").unlink()
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    known = {str(path.relative_to(trees[0])) for path in (trees[0] / "mpcstats").rglob("*") if path.is_file()}
    parties = {str(path.relative_to(trees[0])) for path in (trees[0] / "parties").rglob("*") if path.is_file()}
    assert packed == known | {f"mpcstats/cli/demo/{name}" for name in parties}


@pytest.mark.long
def test_the_wheel_installs_without_compiler_root_and_network(trees, tmp_path):
    pytest.importorskip("hatchling")
    build(trees[0], tmp_path / "dist", 0o022, "UTC")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    place = tmp_path / "fresh"
    # nothing on the path but the new environment: no cc, no git
    bare = {"PATH": str(place / "bin"), "HOME": str(tmp_path), "CC": "/nonexistent", "PIP_NO_INDEX": "1"}
    subprocess.run([sys.executable, "-m", "venv", place], env=bare, check=True)
    python = place / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--no-index", "--no-deps", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, wheel], env=bare, check=True)
    # what it needs comes from this environment, which may hold another copy of the package: the wheel's comes first
    (folder,) = place.glob("lib/python*/site-packages")
    (folder / "needed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    def run(*command):
        return subprocess.run(command, cwd=tmp_path, env=bare, check=True, capture_output=True, text=True).stdout

    installed = Path(run(python, "-c", "import mpcstats; print(mpcstats.__file__)").strip())
    assert installed.is_relative_to(place)
    command = place / "bin" / "mpcstats"
    assert run(command, "--version").startswith("mpcstats ")
    assert "demo" in run(command, "--help")
    assert "fingerprint" in run(command, "party", "init", tmp_path / "party", "--name", "northfield")
    local = (
        "import mpcstats as ms, pandas as pd\n"
        "frames = {name: pd.DataFrame({'sex': ['m', 'f'] * 20}) for name in ('aa', 'bb', 'cc')}\n"
        "with ms.local(frames, policy='open') as them: print(them.count(by=['sex']).to_frame().to_string())\n"
    )
    assert run(python, "-c", local).split()[-2:] == ["60", "released"]
