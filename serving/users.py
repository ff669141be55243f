"""Users, their API keys and what each role may do.

A key is shown once, when it is made; only its sha256 is kept. A key carries 256 random bits,
so a plain hash is as good as a slow one, and the lookup by hash tells an attacker nothing.
What a role may do is one table; what is not in it is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from serving import audit
from serving.errors import FieldError, Forbidden, InvalidInput, NotFound
from serving.storage.codes import Role
from serving.storage.database import Database
from serving.storage.tables import UserRow

KEY_PREFIX = "fz_"
KEY_SHAPE = re.compile(r"fz_[A-Za-z0-9_-]{43}")
NAME_LIMIT = 200


class Permission(StrEnum):
    """What can be allowed. The API names one on every route."""

    TRIAGE_WRITE = "triage:write"
    CONSULT_WRITE = "consult:write"
    IMAGING_WRITE = "imaging:write"
    DICOM_STORE = "dicom:store"
    ORDER_CHECK = "order:check"
    MATCH_READ = "match:read"
    MATCH_WRITE = "match:write"
    BATCH_WRITE = "batch:write"
    KNOWLEDGE_READ = "knowledge:read"
    KNOWLEDGE_PROPOSE = "knowledge:propose"
    MODELS_READ = "models:read"
    MODELS_INFER = "models:infer"
    MODELS_RELOAD = "models:reload"
    DECISION_READ = "decision:read"
    REVIEW_REQUEST = "review:request"
    REVIEW_READ = "review:read"
    REVIEW_SIGN = "review:sign"
    AUDIT_READ = "audit:read"
    USERS_MANAGE = "users:manage"


PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.PATIENT_APP: frozenset(
        {
            Permission.TRIAGE_WRITE,
            Permission.CONSULT_WRITE,
            Permission.MATCH_READ,
            Permission.MATCH_WRITE,
            Permission.KNOWLEDGE_READ,
            Permission.REVIEW_REQUEST,
        }
    ),
    Role.IMAGING_DEVICE: frozenset({Permission.DICOM_STORE}),
    Role.PHYSICIAN: frozenset(
        {
            Permission.TRIAGE_WRITE,
            Permission.CONSULT_WRITE,
            Permission.IMAGING_WRITE,
            Permission.DICOM_STORE,
            Permission.ORDER_CHECK,
            Permission.MATCH_READ,
            Permission.MATCH_WRITE,
            Permission.KNOWLEDGE_READ,
            Permission.KNOWLEDGE_PROPOSE,
            Permission.MODELS_READ,
            Permission.DECISION_READ,
            Permission.REVIEW_REQUEST,
            Permission.REVIEW_READ,
            Permission.REVIEW_SIGN,
        }
    ),
    Role.ADMINISTRATOR: frozenset(
        {
            Permission.TRIAGE_WRITE,
            Permission.CONSULT_WRITE,
            Permission.IMAGING_WRITE,
            Permission.DICOM_STORE,
            Permission.ORDER_CHECK,
            Permission.MATCH_READ,
            Permission.MATCH_WRITE,
            Permission.BATCH_WRITE,
            Permission.KNOWLEDGE_READ,
            Permission.KNOWLEDGE_PROPOSE,
            Permission.MODELS_READ,
            Permission.MODELS_INFER,
            Permission.MODELS_RELOAD,
            Permission.DECISION_READ,
            Permission.REVIEW_REQUEST,
            Permission.REVIEW_READ,
            Permission.AUDIT_READ,
            Permission.USERS_MANAGE,
        }
    ),
}
"""Signing is for physicians alone: an administrator runs the service and signs nothing."""


@dataclass(frozen=True)
class User:
    """Someone known to the service."""

    id: str
    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the user's role allows it and the user is not disabled."""
        return self.disabled_at is None and permission in PERMISSIONS.get(self.role, frozenset())


@dataclass(frozen=True)
class NewUser:
    """A user just made, with the one sight of the API key."""

    user: User
    api_key: str


def create(db: Database, *, name: str, role: Role, actor: str = audit.SYSTEM) -> NewUser:
    """Make a user and an API key (`fz_` and 43 URL-safe characters). Audited.

    Raises InvalidInput for an empty or overlong name.
    """
    name = name.strip()
    if not 0 < len(name) <= NAME_LIMIT:
        raise InvalidInput(errors=[FieldError("/name", f"1 to {NAME_LIMIT} characters")])
    key = KEY_PREFIX + db.ids.secret()
    at = db.clock.now()
    row = UserRow(id=db.ids.new("usr"), name=name, role=role, key_hash=_hash(key), created_at=at)
    with db.write() as session:
        session.add(row)
        session.flush()
        audit.append(
            session,
            at=at,
            actor=actor,
            action="user.created",
            subject=row.id,
            detail={"role": role.value},
        )
        return NewUser(_user(row), key)


def authenticate(db: Database, key: str) -> User | None:
    """The user of an API key; None for an unknown or malformed key or a disabled user."""
    if not KEY_SHAPE.fullmatch(key):
        return None
    digest = _hash(key)
    with db.read() as session:
        row = session.scalar(select(UserRow).where(UserRow.key_hash == digest))
        if row is None or not hmac.compare_digest(row.key_hash, digest):
            return None
        return None if row.disabled_at is not None else _user(row)


def require(user: User, permission: Permission) -> None:
    """Raise Forbidden unless the user may."""
    if not user.may(permission):
        raise Forbidden(f"{permission.value} is not allowed to {user.role.value}")


def get(db: Database, user_id: str) -> User:
    """A user by id, disabled or not. Raises NotFound."""
    with db.read() as session:
        return _user(_row(session, user_id))


def list_users(db: Database, *, role: Role | None = None) -> list[User]:
    """All users, oldest first."""
    query = select(UserRow).order_by(UserRow.id)
    if role is not None:
        query = query.where(UserRow.role == role)
    with db.read() as session:
        return [_user(row) for row in session.scalars(query)]


def disable(db: Database, user_id: str, *, actor: str = audit.SYSTEM) -> User:
    """Refuse the user's key from now on. Again does nothing. Audited. Raises NotFound."""
    at = db.clock.now()
    with db.write() as session:
        row = _row(session, user_id, lock=True)
        if row.disabled_at is None:
            row.disabled_at = at
            audit.append(session, at=at, actor=actor, action="user.disabled", subject=row.id)
        user = _user(row)
    db.disabled.add(user.id)
    return user


def require_now(session: Session, user: User, permission: Permission) -> User:
    """The user as the database knows them at this moment, if they still may; else Forbidden.

    For acts that must not rest on what was true when the request came in.
    """
    row = session.get(UserRow, user.id, populate_existing=True)
    if row is None:
        raise Forbidden("the user is not known any more")
    current = _user(row)
    require(current, permission)
    return current


def _row(session: Session, user_id: str, *, lock: bool = False) -> UserRow:
    row = session.get(UserRow, user_id, with_for_update=lock)
    if row is None:
        raise NotFound("no such user")
    return row


def _user(row: UserRow) -> User:
    return User(row.id, row.name, row.role, row.created_at, row.disabled_at)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8")).hexdigest()
