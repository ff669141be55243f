"""The audit chain: every event is hashed together with the one before it.

`append` writes inside the caller's transaction, so that an act and its event commit together.
`verify` finds edits, deletions, insertions and a cut tail. Someone who may rewrite the whole
table can rewrite the chain too: keep a `head` elsewhere from time to time and give it back to
`verify` as an anchor.

Events never hold patient text: subjects and details are codes, identifiers, numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from serving.storage.canonical import canonical, sha256_of
from serving.storage.database import Database
from serving.storage.tables import AuditEventRow, AuditHeadRow

GENESIS = "0" * 64
"""What the first event names as the hash before it."""

HEAD_ID = 1
CODE = re.compile(r"[A-Za-z0-9_.:@/+*=-]{0,128}")
"""What a word in an event may look like: a code or an identifier, never a sentence."""

BATCH = 1000
SYSTEM = "system"
"""The actor of what nobody asked for: expiry, retention, start-up."""

AuditValue: TypeAlias = "bool | int | float | str | Sequence[str] | Sequence[int] | None"


@dataclass(frozen=True)
class AuditHead:
    """Where the chain ends: the last event's number and hash."""

    seq: int
    hash: str


@dataclass(frozen=True)
class AuditEvent:
    """One event. `actor` is a user's id or `system`; `subject` the id of what it is about."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, AuditValue]
    prev_hash: str
    hash: str


@dataclass(frozen=True)
class _Link:
    """What an event's hash is taken over; `detail` is canonical JSON text."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str
    prev_hash: str


@dataclass(frozen=True)
class AuditReport:
    """What a verification found. `events` counts those that were intact before the first bad."""

    ok: bool
    events: int
    first_bad_seq: int | None = None
    reason: str | None = None


def append(
    session: Session,
    *,
    at: datetime,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, AuditValue] | None = None,
) -> AuditHead:
    """Add one event in the caller's write transaction; returns the new head.

    Call it after the rows it tells of are locked: it locks the head until the commit. Raises
    ValueError when a word is no code (see CODE): free text does not belong here.
    """
    words = dict(detail or {})
    _check(actor, action, subject, words)
    end = session.execute(
        select(AuditHeadRow.seq, AuditHeadRow.hash)
        .where(AuditHeadRow.id == HEAD_ID)
        .with_for_update()
    ).one()
    link = _Link(
        seq=end.seq + 1,
        at=at.astimezone(UTC),
        actor=actor,
        action=action,
        subject=subject,
        detail=canonical(words).decode("ascii"),
        prev_hash=end.hash,
    )
    digest = _hash(link)
    session.execute(insert(AuditEventRow).values(**asdict(link), hash=digest))
    session.execute(
        update(AuditHeadRow).where(AuditHeadRow.id == HEAD_ID).values(seq=link.seq, hash=digest),
        execution_options={"synchronize_session": False},
    )
    return AuditHead(link.seq, digest)


def head(db: Database) -> AuditHead:
    """The present end of the chain, to be kept elsewhere as an anchor."""
    with db.read() as session:
        row = session.get_one(AuditHeadRow, HEAD_ID)
        return AuditHead(row.seq, row.hash)


def verify(db: Database, *, anchor: AuditHead | None = None) -> AuditReport:
    """Walk the chain from its first event, in constant memory, and say where it breaks.

    `anchor` is a head that was kept elsewhere: the chain must still pass through it.
    """
    seq, previous = 0, GENESIS
    with db.read() as session:
        rows = session.execute(
            select(AuditEventRow).order_by(AuditEventRow.seq),
            execution_options={"yield_per": BATCH},
        ).scalars()
        for row in rows:
            if fault := _fault(row, seq, previous, anchor):
                return AuditReport(False, seq, seq + 1, fault)
            seq, previous = row.seq, row.hash
            session.expunge(row)
        end = session.get(AuditHeadRow, HEAD_ID)
        if end is None:
            return AuditReport(False, seq, seq or None, "the head of the chain is missing")
        if end.seq > seq:
            return AuditReport(False, seq, seq + 1, "the end of the chain was cut off")
        if (end.seq, end.hash) != (seq, previous):
            return AuditReport(False, seq, seq or None, "the head differs from the last event")
        if anchor is not None and anchor.seq > seq:
            return AuditReport(False, seq, seq + 1, "the chain ends before the anchor")
    return AuditReport(True, seq)


def list_events(
    db: Database,
    *,
    subject: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[AuditEvent]:
    """The newest events first, filtered; `before` a seq pages on. At most 1000 at a time."""
    query = select(AuditEventRow).order_by(AuditEventRow.seq.desc()).limit(min(limit, 1000))
    if subject is not None:
        query = query.where(AuditEventRow.subject == subject)
    if actor is not None:
        query = query.where(AuditEventRow.actor == actor)
    if action is not None:
        query = query.where(AuditEventRow.action == action)
    if before is not None:
        query = query.where(AuditEventRow.seq < before)
    with db.read() as session:
        return [_event(row) for row in session.scalars(query)]


def _fault(row: AuditEventRow, seq: int, previous: str, anchor: AuditHead | None) -> str | None:
    if row.seq != seq + 1:
        return "an event is missing"
    if row.prev_hash != previous:
        return "the event does not follow the one before it"
    if row.hash != _hash(row):
        return "the event was changed after it was written"
    if anchor is not None and row.seq == anchor.seq and row.hash != anchor.hash:
        return "the chain does not pass through the anchor"
    return None


def _hash(link: _Link | AuditEventRow) -> str:
    return sha256_of(
        {
            "seq": link.seq,
            "at": link.at.isoformat(timespec="microseconds"),
            "actor": link.actor,
            "action": link.action,
            "subject": link.subject,
            "detail": link.detail,
            "prev_hash": link.prev_hash,
        }
    )


def _event(row: AuditEventRow) -> AuditEvent:
    return AuditEvent(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        detail=json.loads(row.detail),
        prev_hash=row.prev_hash,
        hash=row.hash,
    )


def _check(actor: str, action: str, subject: str, detail: Mapping[str, AuditValue]) -> None:
    words: list[str] = [actor, action, subject, *detail]
    for value in detail.values():
        if isinstance(value, str):
            words.append(value)
        elif isinstance(value, Sequence):
            words.extend(item for item in value if isinstance(item, str))
    for word in words:
        if not CODE.fullmatch(word):
            raise ValueError(f"an audit event holds codes only ({action!r})")
