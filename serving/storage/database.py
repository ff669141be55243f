"""The one place where a transaction begins.

`Database.write()` and `Database.read()` yield a SQLAlchemy Session inside one transaction that
commits, or rolls back and leaves nothing. Called from worker threads, never from the event
loop. SQLite (a file, WAL) by default; PostgreSQL by URL.

Locks: on SQLite a write takes the write lock at once (BEGIN IMMEDIATE), so it never fails half
way for want of it. On PostgreSQL a write runs READ COMMITTED and locks the rows it moves; the
head of the audit chain is locked last of all, so that two writers cannot wait for each other.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from serving.clock import Clock, Ids, SystemClock
from serving.errors import StorageUnavailable
from serving.storage import canonical

WRITING = "fenzhen_writing"
"""The execution option that tells a SQLite connection to begin with the write lock."""


class Database:
    """A database by URL, with the clock and the id maker that its records are made with.

    `sqlite:////path/to/file.db` (folder and file are created, readable by the owner only) or
    `postgresql://user@host/name` (needs the `postgres` extra).
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        ids: Ids | None = None,
        pool_size: int = 16,
        busy_seconds: float = 10.0,
        sync_commits: bool = True,
    ) -> None:
        """Open lazily: nothing connects before the first transaction.

        `pool_size` bounds the connections of this process; `busy_seconds` is how long a
        transaction waits for a connection or for SQLite's write lock before it gives up.
        `sync_commits` flushes every SQLite commit to the disk, so that a recorded decision
        survives a power cut; without it a commit takes a third of the time, the last ones may
        be lost with the power, and the file stays sound (PRAGMA synchronous FULL, NORMAL).
        """
        self.clock: Clock = clock or SystemClock()
        self.ids = ids or Ids(self.clock)
        self.disabled: set[str] = set()
        """Users who were disabled through this handle, for whoever remembers users for a while."""
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._engine = (
            _sqlite(parsed, pool_size, busy_seconds, sync_commits)
            if self.is_sqlite
            else _postgresql(parsed, pool_size, busy_seconds)
        )
        self._busy_seconds = busy_seconds
        self._writer = self._engine.execution_options(**{WRITING: True})
        self._reader = (
            self._engine
            if self.is_sqlite
            else self._engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        )
        # SQLite's own waiting sleeps in growing steps and is unfair; threads of one process
        # queue here instead, and only other processes meet the file's lock.
        self._turn = threading.Lock()
        self._inside = threading.local()

    def __repr__(self) -> str:
        """Without the password."""
        return f"Database({self._engine.url.render_as_string(hide_password=True)!r})"

    @contextmanager
    def write(self, within: Session | None = None) -> Iterator[Session]:
        """A transaction that writes: commits at the end, or leaves nothing when it raises.

        `within` joins the caller's transaction instead of beginning one. Raises
        StorageUnavailable when the database cannot be reached or stays locked.
        """
        if within is not None:
            yield within
            return
        if getattr(self._inside, "writing", False):
            raise RuntimeError("this thread writes already: pass its session as `within`")
        if self.is_sqlite and not self._turn.acquire(timeout=self._busy_seconds):
            raise StorageUnavailable("the database stayed locked")
        self._inside.writing = True
        try:
            with (
                _as_storage_errors(),
                Session(self._writer, expire_on_commit=False) as session,
                session.begin(),
            ):
                session.connection()  # begin now, not at the first statement
                yield session
        finally:
            self._inside.writing = False
            if self.is_sqlite:
                self._turn.release()

    @contextmanager
    def read(self, within: Session | None = None) -> Iterator[Session]:
        """A transaction that sees one moment and cannot write (the database refuses)."""
        if within is not None:
            yield within
            return
        with _as_storage_errors(), Session(self._reader, autoflush=False) as session:
            yield session
            session.rollback()

    def migrate(self) -> None:
        """Bring the schema to the newest version, in one transaction; does nothing if it is."""
        from serving.storage.migrations import upgrade  # Alembic loads slowly

        with self.write() as session:
            upgrade(session.connection())

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


@contextmanager
def _as_storage_errors() -> Iterator[None]:
    """Operational failures in the service's own words: the driver's may quote parameters."""
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        raise StorageUnavailable("the database cannot be used just now") from error


def _sqlite(url: URL, pool_size: int, busy_seconds: float, sync_commits: bool) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ValueError("SQLite needs a file: records must outlive the process")
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # WAL files copy these rights
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=busy_seconds,
        connect_args={"timeout": busy_seconds, "check_same_thread": False},
        json_serializer=canonical.dumps,
        hide_parameters=True,  # an error's text may be logged; a parameter may be a patient's words
    )

    @event.listens_for(engine, "connect")
    def _configure(raw: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        raw.isolation_level = None  # this module says BEGIN, not the driver
        cursor = raw.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={'FULL' if sync_commits else 'NORMAL'}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get(WRITING, False)
        connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writing else 'ON'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(url: URL, pool_size: int, busy_seconds: float) -> Engine:
    if url.get_backend_name() != "postgresql":
        raise ValueError("the database is SQLite or PostgreSQL")
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=busy_seconds,
        pool_pre_ping=True,
        json_serializer=canonical.dumps,
        hide_parameters=True,  # an error's text may be logged; a parameter may be a patient's words
    )
