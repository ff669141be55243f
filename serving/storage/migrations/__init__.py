"""Schema versions, applied by Alembic from inside the program: `Database.migrate()`.

A version, once released, is never edited: what changes is a new file in `versions/`. To make
one: change `tables.py`, then `python -m serving.storage.migrations "what changes"`.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

FOLDER = Path(__file__).parent


def config(connection: Connection) -> Config:
    """Alembic's settings, without a file, for a connection that is inside a transaction."""
    settings = Config()
    settings.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings


def upgrade(connection: Connection) -> None:
    """Apply what is missing, in the connection's transaction."""
    if connection.dialect.name == "postgresql":  # one migrator at a time; SQLite locks anyway
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4634729001)")
    command.upgrade(config(connection), "head")
