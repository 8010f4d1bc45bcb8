"""A PostgreSQL server of the test run's own: a cluster in a temporary folder, on a socket there, without TCP."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_TIMEOUT = 60


def _programs() -> Path | None:
    """The folder with initdb and pg_ctl: on the path, or where Debian puts them."""
    found = [Path(path).parent for path in (shutil.which("initdb"),) if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in found if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


def _as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="mpcstats-pg-"))  # short: the path of a socket has at most 107 letters
    prefix = _as_somebody()
    if prefix:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    data, environment = folder / "data", {"LC_ALL": "C", "PATH": os.environ["PATH"], "HOME": str(folder)}

    def run(*command: str) -> None:
        done = subprocess.run(
            [*prefix, *command],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"PostgreSQL cannot be started here: {(done.stderr or done.stdout).strip()[-200:]}")

    try:
        run(str(programs / "initdb"), "-D", str(data), "-U", "mpcstats", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield folder
        finally:
            run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: Path) -> Iterator[str]:
    """URL of an empty database."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed (extra: postgres)")
    name = f"t{os.urandom(6).hex()}"
    with psycopg.connect(host=str(postgres_server), user="mpcstats", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"postgresql://mpcstats@/{name}?host={postgres_server}"
    with psycopg.connect(host=str(postgres_server), user="mpcstats", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
