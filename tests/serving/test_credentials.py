"""Keys are remembered for two seconds, and a user who is disabled here is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving import credentials, users
from serving.credentials import FRESH_S, Credentials
from serving.errors import Forbidden, Unauthenticated
from serving.storage.codes import Role
from serving.storage.database import Database
from serving.users import NewUser, Permission


class Counting(Database):
    """A database that counts how often it is read."""

    reads = 0

    def read(self, within=None):  # type: ignore[no-untyped-def]
        self.reads += 1
        return super().read(within)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Counting]:
    db = Counting(f"sqlite:///{tmp_path / 'db.sqlite3'}")
    db.migrate()
    yield db
    db.close()


def administrator(db: Database) -> tuple[NewUser, bytes]:
    new = users.create(db, name="Anna", role=Role.ADMINISTRATOR)
    return new, new.api_key.encode()


def test_a_good_key_is_looked_up_once_in_two_seconds(db: Counting) -> None:
    now = [0.0]
    known = Credentials(db, now=lambda: now[0])
    new, key = administrator(db)

    async def ask() -> int:
        assert (await known.user(key)).id == new.user.id
        return db.reads

    async def run() -> None:
        first = await ask()
        now[0] += FRESH_S * 0.99
        assert await ask() == first
        now[0] += FRESH_S * 0.02
        assert await ask() == first + 1

    asyncio.run(run())


def test_a_user_disabled_in_this_process_is_refused_at_once(db: Counting) -> None:
    known = Credentials(db, now=lambda: 0.0)
    new, key = administrator(db)

    async def run() -> None:
        await known.user(key)
        users.disable(db, new.user.id)
        with pytest.raises(Unauthenticated):
            await known.user(key)

    asyncio.run(run())


def test_a_user_disabled_by_another_process_is_refused_after_two_seconds(
    db: Counting, tmp_path: Path
) -> None:
    now = [0.0]
    known = Credentials(db, now=lambda: now[0])
    new, key = administrator(db)
    other = Database(f"sqlite:///{tmp_path / 'db.sqlite3'}")

    async def run() -> None:
        await known.user(key)
        users.disable(other, new.user.id)
        assert (await known.user(key)).id == new.user.id
        now[0] += FRESH_S
        with pytest.raises(Unauthenticated):
            await known.user(key)

    asyncio.run(run())
    other.close()


@pytest.mark.parametrize("key", [b"", b"fz_" + b"x" * 43, b"\xff" * 46, b"fz_short"])
def test_a_bad_key_is_refused_and_not_remembered(db: Counting, key: bytes) -> None:
    known = Credentials(db)

    async def run() -> None:
        for _ in range(2):
            with pytest.raises(Unauthenticated):
                await known.user(key)

    asyncio.run(run())
    assert not known._known


def test_what_is_remembered_is_bounded(db: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "MOST_KEYS", 2)
    known = Credentials(db)
    keys = [administrator(db)[1] for _ in range(3)]

    async def run() -> None:
        for key in keys:
            await known.user(key)
        assert len(known._known) == 2
        before = db.reads
        await known.user(keys[0])
        assert db.reads == before + 1

    asyncio.run(run())


def test_a_known_key_still_needs_the_permission(db: Counting) -> None:
    new = users.create(db, name="Ben", role=Role.PHYSICIAN)
    known = Credentials(db)
    headers = {b"authorization": b"bearer  " + new.api_key.encode()}

    async def run() -> None:
        found = await known.admit({}, headers, Permission.MODELS_READ)
        assert found.id == new.user.id
        with pytest.raises(Forbidden):
            await known.admit({}, headers, Permission.MODELS_INFER)

    asyncio.run(run())
