"""Consults as rows: made, read with their secret, written with optimistic locking.

What a consult's state means is the API's matter; here it is one JSON object. A consult's id and
its secret are both unguessable, and only the secret's hash is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy.orm import Session

from serving import audit
from serving.errors import NotFound, VersionConflict
from serving.storage.canonical import Json, JsonObject, dumps
from serving.storage.codes import ConsultStatus
from serving.storage.database import Database
from serving.storage.tables import ConsultRow


@dataclass(frozen=True)
class Consult:
    """A consult as it was read. `version` goes back with the next write."""

    id: str
    created_at: datetime
    updated_at: datetime
    state: Mapping[str, Json]
    status: ConsultStatus
    version: int


@dataclass(frozen=True)
class NewConsult:
    """A consult just made, with the one sight of its secret."""

    consult: Consult
    secret: str


def create(db: Database, state: JsonObject, *, actor: str) -> NewConsult:
    """Open a consult. Audited."""
    secret = db.ids.secret()
    at = db.clock.now()
    row = ConsultRow(
        id=db.ids.new("con"),
        secret_hash=_hash(secret),
        created_at=at,
        updated_at=at,
        state=_plain(state),
        status=ConsultStatus.OPEN,
        version=1,
    )
    with db.write() as session:
        session.add(row)
        session.flush()
        audit.append(session, at=at, actor=actor, action="consult.opened", subject=row.id)
        return NewConsult(_consult(row), secret)


def load(db: Database, consult_id: str, secret: str, *, within: Session | None = None) -> Consult:
    """A consult for who knows its secret. NotFound for a wrong id and for a wrong secret alike."""
    with db.read(within) as session:
        row = session.get(ConsultRow, consult_id)
        known = row.secret_hash if row is not None else _hash("")
        if not hmac.compare_digest(known, _hash(secret)) or row is None:
            raise NotFound("no such consult")
        return _consult(row)


def save(
    db: Database,
    consult_id: str,
    *,
    expected_version: int,
    state: JsonObject,
    status: ConsultStatus,
    actor: str,
    within: Session | None = None,
) -> Consult:
    """Write a consult's new state if nobody wrote since `expected_version`.

    Raises NotFound or VersionConflict. A change of status is audited; messages are data, not
    events. `within` joins the transaction that records the consult's decision.
    """
    at = db.clock.now()
    with db.write(within) as session:
        row = session.get(ConsultRow, consult_id, with_for_update=True, populate_existing=True)
        if row is None:
            raise NotFound("no such consult")
        if row.version != expected_version:
            raise VersionConflict("read the consult again")
        before, row.status = row.status, status
        row.state = _plain(state)
        row.version += 1
        row.updated_at = at
        session.flush()
        if before is not status:
            audit.append(
                session,
                at=at,
                actor=actor,
                action=f"consult.{status.value}",
                subject=row.id,
                detail={"from": before.value},
            )
        return _consult(row)


def _plain(state: JsonObject) -> dict[str, Json]:
    return cast(dict[str, Json], json.loads(dumps(state)))


def _consult(row: ConsultRow) -> Consult:
    return Consult(row.id, row.created_at, row.updated_at, row.state, row.status, row.version)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
