"""Leases on batches, so that several servers may work on one database.

Revision: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three columns. Nobody holds the batches that are there, and nobody knows their folder."""
    op.add_column("batches", sa.Column("input_folder", sa.String(length=64), nullable=True))
    op.add_column(
        "batches", sa.Column("fencing_token", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "batches", sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True)
    )


def downgrade() -> None:
    """There is no way back: without leases two servers would answer one batch."""
    raise NotImplementedError("records are kept")
