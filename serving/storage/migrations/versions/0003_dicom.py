"""DICOM instances, fingerprints of pictures that were read, secrets of the installation.

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
UID = sa.String(length=64)


def upgrade() -> None:
    """Three tables."""
    op.create_table(
        "installation_secrets",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.String(length=43), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installation_secrets")),
    )
    op.create_table(
        "dicom_instances",
        sa.Column("sop_uid", UID, nullable=False),
        sa.Column("study_uid", UID, nullable=False),
        sa.Column("series_uid", UID, nullable=False),
        sa.Column("sop_class_uid", UID, nullable=False),
        sa.Column("patient_id", sa.String(length=16), nullable=False),
        sa.Column("modality", sa.String(length=16), nullable=True),
        sa.Column("body_part", sa.String(length=16), nullable=True),
        sa.Column("sex", sa.String(length=16), nullable=True),
        sa.Column("series_number", sa.Integer(), nullable=True),
        sa.Column("instance_number", sa.Integer(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("columns", sa.Integer(), nullable=False),
        sa.Column("bits_allocated", sa.Integer(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("blob", sa.String(length=64), nullable=False),
        sa.Column("decision_id", sa.String(length=64), nullable=False),
        sa.Column("uploader", sa.String(length=64), nullable=False),
        sa.Column("stored_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["blob"], ["blobs.sha256"], name=op.f("fk_dicom_instances_blob")),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.id"], name=op.f("fk_dicom_instances_decision_id")
        ),
        sa.PrimaryKeyConstraint("sop_uid", name=op.f("pk_dicom_instances")),
    )
    op.create_index(
        "ix_dicom_instances_study_series", "dicom_instances", ["study_uid", "series_uid"]
    )
    for column in ("decision_id", "fingerprint", "stored_at"):
        op.create_index(f"ix_dicom_instances_{column}", "dicom_instances", [column])
    op.create_table(
        "study_images",
        sa.Column("decision_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["decisions.id"], name=op.f("fk_study_images_decision_id")
        ),
        sa.PrimaryKeyConstraint("decision_id", "number", name=op.f("pk_study_images")),
    )
    op.create_index(
        "ix_study_images_same_picture", "study_images", ["fingerprint", "task", "model_version"]
    )


def downgrade() -> None:
    """There is no way back: instances are records, and records are kept."""
    raise NotImplementedError("records are kept")
