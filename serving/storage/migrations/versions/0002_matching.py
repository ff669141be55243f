"""Specialist matching: rosters, places given away, outcomes, learned weights.

Revision: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
CODE = sa.String(length=32)


def upgrade() -> None:
    """Four tables."""
    op.create_table(
        "rosters",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("doctors", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_rosters")),
    )
    op.create_table(
        "doctor_days",
        sa.Column("doctor", sa.String(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("doctor", "day", name=op.f("pk_doctor_days")),
    )
    op.create_index("ix_doctor_days_day", "doctor_days", ["day"])
    op.create_table(
        "match_outcomes",
        sa.Column("decision_id", sa.String(length=64), nullable=False),
        sa.Column("doctor", sa.String(length=32), nullable=False),
        sa.Column("outcome", CODE, nullable=False),
        sa.Column("reason", CODE, nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.id"], name=op.f("fk_match_outcomes_decision_id")
        ),
        sa.PrimaryKeyConstraint("decision_id", "doctor", name=op.f("pk_match_outcomes")),
    )
    op.create_table(
        "match_weights",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("base_version", sa.Integer(), nullable=False),
        sa.Column("weights", sa.JSON(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_match_weights")),
    )


def downgrade() -> None:
    """There is no way back: outcomes and versions are records, and records are kept."""
    raise NotImplementedError("records are kept")
