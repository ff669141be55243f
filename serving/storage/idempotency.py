"""Answers by idempotency key: a request that is sent again has no second effect.

`recall` before the work, `remember` in the transaction that has the effect. Of two requests that
race with one key the second loses its whole transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CursorResult, delete
from sqlalchemy.orm import Session

from serving.errors import IdempotencyConflict
from serving.storage.database import Database
from serving.storage.insert import insert_if_absent
from serving.storage.tables import IdempotencyRow


@dataclass(frozen=True)
class Request:
    """What makes two requests the same: who, under which key, what, and the sha256 of its body."""

    user_id: str
    key: str
    method: str
    path: str
    body_sha256: str


@dataclass(frozen=True)
class Answer:
    """The response that was given: its status and its bytes."""

    status: int
    body: bytes


def recall(db: Database, request: Request) -> Answer | None:
    """The answer given before, or None. Raises IdempotencyConflict for another request's key."""
    with db.read() as session:
        row = session.get(IdempotencyRow, (request.user_id, request.key))
        if row is None:
            return None
        if (row.method, row.path, row.request_hash) != (
            request.method,
            request.path,
            request.body_sha256,
        ):
            raise IdempotencyConflict("the key belongs to another request")
        return Answer(row.status, row.body)


def remember(db: Database, request: Request, answer: Answer, *, within: Session) -> None:
    """Keep the answer with its effect. Raises IdempotencyConflict when another was faster."""
    values = {
        "user_id": request.user_id,
        "key": request.key,
        "method": request.method,
        "path": request.path,
        "request_hash": request.body_sha256,
        "status": answer.status,
        "body": answer.body,
        "created_at": db.clock.now(),
    }
    if not insert_if_absent(within, IdempotencyRow, values):
        raise IdempotencyConflict("the same request is under way or answered")


def forget_before(db: Database, moment: datetime) -> int:
    """Drop the answers given before a moment; returns how many."""
    with db.write() as session:
        result = session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < moment))
        return result.rowcount if isinstance(result, CursorResult) else 0
