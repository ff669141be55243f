"""Which server works through a batch: a lease that runs out, and a fencing token that only grows.

As with the leases of the review queue, expiry needs no timer: a lease that has run out counts as
none, and whoever claims next gets a higher token. A row, an end or a cancellation that carries an
older token is refused, so a server that comes back late can change nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from serving.batches.machine import OPEN, Move, after
from serving.errors import LeaseLost, NotFound
from serving.storage.database import Database
from serving.storage.tables import BatchRow


def claim(db: Database, batch_id: str, *, lease_for: timedelta) -> int | None:
    """Start or go on with a batch; its new token, or None while another lease on it runs.

    Raises NotFound, or IllegalMove for a batch that has ended.
    """
    now = db.clock.now()
    with db.write() as session:
        row = locked(session, batch_id)
        state = after(row.state, Move.START)
        if _is_held(row, now):
            return None
        row.state = state
        row.started_at = row.started_at or now
        row.fencing_token += 1
        row.lease_expires_at = now + lease_for
        return row.fencing_token


def renew(db: Database, batch_id: str, token: int, *, lease_for: timedelta) -> bool:
    """Hold a batch for longer; False once it has ended or is another's."""
    with db.write() as session:
        row = _own(session, batch_id, token)
        if row is not None:
            row.lease_expires_at = db.clock.now() + lease_for
        return row is not None


def release(db: Database, batch_id: str, token: int) -> None:
    """Let others go on with a batch at once; nothing where the lease is lost already."""
    with db.write() as session:
        row = _own(session, batch_id, token)
        if row is not None:
            row.lease_expires_at = None


def require(row: BatchRow, token: int | None) -> None:
    """Raise LeaseLost unless `token` is the batch's newest. None is whoever needs no lease."""
    if token is not None and row.fencing_token != token:
        raise LeaseLost("another server works on the batch")


def locked(session: Session, batch_id: str) -> BatchRow:
    """The batch's row, locked until the commit. Raises NotFound."""
    row = session.get(BatchRow, batch_id, with_for_update=True)
    if row is None:
        raise NotFound("no such batch")
    return row


def _own(session: Session, batch_id: str, token: int) -> BatchRow | None:
    row = session.get(BatchRow, batch_id, with_for_update=True)
    if row is None or row.state not in OPEN or row.fencing_token != token:
        return None
    return row


def _is_held(row: BatchRow, now: datetime) -> bool:
    """A lease ends at its last moment."""
    return row.lease_expires_at is not None and now < row.lease_expires_at
