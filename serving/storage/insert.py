"""The one insertion that both databases spell differently."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Insert
from sqlalchemy.dialects import postgresql, sqlite

from serving.storage.database import Database
from serving.storage.tables import Base


def insert_if_absent(db: Database, table: type[Base], values: Mapping[str, object]) -> Insert:
    """An INSERT that does nothing where the key is taken."""
    if db.is_sqlite:
        return sqlite.insert(table).values(dict(values)).on_conflict_do_nothing()
    return postgresql.insert(table).values(dict(values)).on_conflict_do_nothing()
