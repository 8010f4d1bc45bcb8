"""Opening a node's database: where it is, its migrations, and transactions."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mpcstats.errors import ConfigurationError

__all__ = ["Database"]

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 10


class Database:
    """The state of one node.

    Parameters
    ----------
    url : str
        `sqlite:///...`, or `postgresql://...` (needs the extra `postgres`).
    party : str
        Owner, named in errors.

    Raises
    ------
    ConfigurationError
        It cannot be opened, or was written by a later version.
    """

    def __init__(self, url: str, party: str) -> None:
        from sqlalchemy import create_engine, event
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError
        from sqlalchemy.pool import StaticPool

        from mpcstats.node.state.schedule_tables import Base  # and with it every table there is

        self._party = party
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise ConfigurationError(
                "[storage] state is no database URL", party=party, hint='state = "postgresql://user@host/name"'
            ) from None
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.drivername not in {"sqlite", "postgresql+psycopg"}:
            raise ConfigurationError(
                f"[storage] state: {parsed.drivername} is not supported", party=party, hint="use sqlite or postgresql"
            )
        if parsed.database and parsed.drivername == "sqlite":
            _make_file(Path(parsed.database))
        with self.errors():
            sqlite = parsed.drivername == "sqlite"
            connecting: dict[str, Any] = {"connect_timeout": _BUSY_SECONDS, "client_encoding": "utf8"}
            options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS} if sqlite else connecting}
            if not parsed.database and sqlite:  # one connection for all threads, or each would have its own
                options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
            self.engine = create_engine(parsed, pool_pre_ping=True, **options)
            if not parsed.database and sqlite:  # nobody wrote it before: nothing to migrate
                Base.metadata.create_all(self.engine)
                return
            if sqlite:
                event.listen(self.engine, "connect", _pragmas)
            self._migrate()

    @classmethod
    def in_memory(cls, party: str) -> Database:
        """A database that is gone with the process."""
        return cls("sqlite://", party)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """A SQLAlchemy session: all of it is written, or nothing.

        Raises
        ------
        ConfigurationError
            The database cannot be reached or written.
        """
        from sqlalchemy.orm import Session

        with self.errors(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turns errors of the database into this package's; without statements, which hold what was written."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
            raise ConfigurationError(
                f"the state database cannot be used: {reason}",
                party=self._party,
                hint="check [storage] state in party.toml",
            ) from None
        except ModuleNotFoundError:
            raise ConfigurationError(
                "PostgreSQL needs the package psycopg", party=self._party, hint="pip install 'mpcstats[postgres]'"
            ) from None

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise ConfigurationError(
                    f"the state database was written by another version of mpcstats ({error})",
                    party=self._party,
                    hint="install the version that wrote it, or a later one",
                ) from None


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be opened: {error.strerror}") from None


def _pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
