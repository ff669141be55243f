"""Run by Alembic. Migrates over the connection that the caller gave, in its transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from serving.storage.tables import Base

connection = context.config.attributes["connection"]
if not isinstance(connection, Connection):
    raise TypeError("migrations run through Database.migrate()")
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
