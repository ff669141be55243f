"""Real databases for tests: a SQLite file always, PostgreSQL where one is named.

A test module asks for the fixtures with `pytest_plugins = ["tests.serving.storage.databases"]`.
Set FENZHEN_TEST_POSTGRES to the URL of an empty database to run the same tests there.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from serving import users
from serving.clock import FixedClock
from serving.decisions import DecisionRecord
from serving.storage.codes import Role
from serving.storage.database import Database
from serving.users import User
from tests.serving.storage.records import decide_in

POSTGRES = os.environ.get("FENZHEN_TEST_POSTGRES")


@pytest.fixture
def clock() -> FixedClock:
    """A clock that the test moves."""
    return FixedClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'var' / 'fenzhen.db'}"
        return
    if POSTGRES is None:
        pytest.skip("FENZHEN_TEST_POSTGRES names no database")
    schema = f"test_{secrets.token_hex(8)}"
    engine = create_engine(make_url(POSTGRES).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    url = make_url(POSTGRES).update_query_dict({"options": f"-csearch_path={schema}"})
    yield url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def db(database_url: str, clock: FixedClock) -> Iterator[Database]:
    """A migrated database under the test's clock."""
    database = Database(database_url, clock=clock, sync_commits=False)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def physician(db: Database) -> User:
    """Somebody who may sign."""
    return users.create(db, name="李医生", role=Role.PHYSICIAN).user


@pytest.fixture
def colleague(db: Database) -> User:
    """Somebody else who may sign."""
    return users.create(db, name="陈医生", role=Role.PHYSICIAN).user


@pytest.fixture
def decide(db: Database) -> Callable[..., DecisionRecord]:
    """Record a decision that is in the queue for the given reasons."""
    return lambda *reasons, **more: decide_in(db, *reasons, **more)
