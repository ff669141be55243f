"""The one insertion that both databases spell differently."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from serving.storage.tables import Base


def insert_if_absent(session: Session, table: type[Base], values: Mapping[str, object]) -> bool:
    """Insert a row unless its key is taken; says whether it did."""
    make = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = make(table).values(dict(values)).on_conflict_do_nothing().returning(literal(1))
    return session.execute(statement).first() is not None
