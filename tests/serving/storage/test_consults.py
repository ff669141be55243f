"""A consult opens only with its secret, and two writers never overwrite each other."""

from __future__ import annotations

import pytest

from serving import audit
from serving.clock import FixedClock
from serving.errors import NotFound, VersionConflict
from serving.storage import consults
from serving.storage.codes import ConsultStatus
from serving.storage.database import Database

pytest_plugins = ["tests.serving.storage.databases"]


def test_a_consult_opens_with_its_secret_alone(db: Database) -> None:
    new = consults.create(db, {"language": "zh", "messages": []}, actor="usr_app")
    assert consults.load(db, new.consult.id, new.secret) == new.consult
    other = consults.create(db, {}, actor="usr_app")
    for consult_id, secret in (
        (new.consult.id, other.secret),
        (new.consult.id, ""),
        ("con_none", new.secret),
        ("con_none", ""),
    ):
        with pytest.raises(NotFound):
            consults.load(db, consult_id, secret)


def test_a_write_counts_the_version_and_keeps_the_time(db: Database, clock: FixedClock) -> None:
    new = consults.create(db, {"n": 0}, actor="usr_app")
    later = clock.advance(60)
    saved = consults.save(
        db,
        new.consult.id,
        expected_version=1,
        state={"n": 1},
        status=ConsultStatus.OPEN,
        actor="usr_app",
    )
    assert (saved.version, saved.updated_at, saved.state) == (2, later, {"n": 1})
    assert consults.load(db, new.consult.id, new.secret) == saved


def test_the_slower_of_two_writers_is_told(db: Database) -> None:
    new = consults.create(db, {"n": 0}, actor="usr_app")

    def write(number: int) -> None:
        consults.save(
            db,
            new.consult.id,
            expected_version=1,
            state={"n": number},
            status=ConsultStatus.OPEN,
            actor="usr_app",
        )

    write(1)
    with pytest.raises(VersionConflict):
        write(2)
    assert consults.load(db, new.consult.id, new.secret).state == {"n": 1}


def test_an_unknown_consult_cannot_be_written(db: Database) -> None:
    with pytest.raises(NotFound):
        consults.save(
            db,
            "con_none",
            expected_version=1,
            state={},
            status=ConsultStatus.OPEN,
            actor="usr_app",
        )


def test_opening_and_changes_of_status_are_audited_and_messages_are_not(db: Database) -> None:
    new = consults.create(db, {}, actor="usr_app")
    for version, status in enumerate(
        (ConsultStatus.OPEN, ConsultStatus.EMERGENCY, ConsultStatus.EMERGENCY), start=1
    ):
        consults.save(
            db,
            new.consult.id,
            expected_version=version,
            state={"m": ["胸痛"] * version},
            status=status,
            actor="usr_app",
        )
    actions = [event.action for event in audit.list_events(db, subject=new.consult.id)]
    assert actions == ["consult.emergency", "consult.opened"]
