"""The roster in its versions, and the places of a doctor's day that were given away.

A roster is kept whole and never changed: an import makes a new version, the newest is in force.
Places are counted by doctor and local date, so that a new roster keeps what was promised. A place
is taken by one conditional update: two at once cannot take the last one twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from models.matching.profile import Doctor
from models.matching.roster import Roster
from models.matching.roster_csv import read_roster, write_roster
from serving import audit
from serving.storage.database import Database
from serving.storage.insert import insert_if_absent
from serving.storage.tables import DoctorDayRow, RosterRow


@dataclass(frozen=True)
class StoredRoster:
    """A version of the roster."""

    version: int
    created_at: datetime
    roster: Roster


NO_ROSTER = 0
"""The version of a hospital that has not imported any."""


def import_doctors(db: Database, doctors: Sequence[Doctor], *, actor: str) -> int:
    """Put doctors in force as the newest version; the same ones again change nothing. Audited."""
    Roster(doctors)  # refuses a code that occurs twice
    content = write_roster(doctors)
    digest = hashlib.sha256(content.encode("utf-8")).hexdigest()
    at = db.clock.now()
    with db.write() as session:
        newest = _newest(session)
        if newest is not None and newest.sha256 == digest:
            return newest.version
        version = 1 if newest is None else newest.version + 1
        session.add(
            RosterRow(
                version=version,
                created_at=at,
                sha256=digest,
                doctors=len(doctors),
                content=content,
            )
        )
        session.flush()
        audit.append(
            session,
            at=at,
            actor=actor,
            action="roster.imported",
            subject=f"roster_{version}",
            detail={"doctors": len(doctors), "sha256": digest},
        )
        return version


def content(db: Database) -> str | None:
    """The roster in force as CSV; None where none was imported."""
    with db.read() as session:
        row = _newest(session)
        return None if row is None else row.content


class Rosters:
    """The roster in force, read once per version: a version never changes."""

    def __init__(self) -> None:
        self._kept = StoredRoster(NO_ROSTER, datetime.min, Roster(()))

    def in_force(self, session: Session) -> StoredRoster:
        """The newest version; version 0 without doctors where none was imported."""
        version = session.scalar(
            select(RosterRow.version).order_by(RosterRow.version.desc()).limit(1)
        )
        kept = self._kept
        if version is not None and version != kept.version:
            row = session.get_one(RosterRow, version)
            data = row.content.encode("utf-8")
            doctors = read_roster(data, max_bytes=len(data), max_rows=row.doctors)
            kept = self._kept = StoredRoster(version, row.created_at, Roster(doctors))
        return kept


def taken_on(session: Session, day: date) -> dict[str, int]:
    """Places given away on a day, by doctor."""
    rows = session.scalars(select(DoctorDayRow).where(DoctorDayRow.day == day))
    return {row.doctor: row.taken for row in rows}


def take_place(session: Session, doctor: str, day: date, capacity: int) -> bool:
    """Take one place of a doctor's day; False when none is left."""
    insert_if_absent(session, DoctorDayRow, {"doctor": doctor, "day": day, "taken": 0})
    return _count(session, doctor, day, 1, below=capacity)


def give_back_place(session: Session, doctor: str, day: date) -> None:
    """Give one place of a doctor's day back."""
    _count(session, doctor, day, -1)


def _count(
    session: Session, doctor: str, day: date, step: int, *, below: int | None = None
) -> bool:
    query = update(DoctorDayRow).where(DoctorDayRow.doctor == doctor, DoctorDayRow.day == day)
    query = query.where(DoctorDayRow.taken + step >= 0)
    if below is not None:
        query = query.where(DoctorDayRow.taken < below)
    done = session.execute(
        query.values(taken=DoctorDayRow.taken + step),
        execution_options={"synchronize_session": False},
    )
    return isinstance(done, CursorResult) and done.rowcount == 1


def _newest(session: Session) -> RosterRow | None:
    return session.scalar(select(RosterRow).order_by(RosterRow.version.desc()).limit(1))
