"""The tables. Rows are private to serving's services, which hand out frozen dataclasses.

Schema changes go through a migration: a test compares these classes with what the migrations
build.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from serving.storage.canonical import Json
from serving.storage.codes import (
    BatchState,
    ConsultStatus,
    DecisionKind,
    DecisionStatus,
    ItemOutcome,
    MatchOutcome,
    Outcome,
    OverrideReason,
    ProposalState,
    Reason,
    RefusalReason,
    Role,
    StopReason,
    TaskState,
    Verdict,
)
from serving.storage.types import BIG, EXACT_JSON, UtcDateTime, coded

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all rows."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 (SQLAlchemy's own name)


class UserRow(Base):
    """A person or a program with an API key. The key itself is never stored."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[Role] = mapped_column(coded(Role))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class ConsultRow(Base):
    """A chat. `state` holds language, patient and messages; `version` counts its writes."""

    __tablename__ = "consults"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime] = mapped_column(index=True)
    state: Mapped[dict[str, Json]] = mapped_column(EXACT_JSON)
    status: Mapped[ConsultStatus] = mapped_column(coded(ConsultStatus))
    version: Mapped[int]


class DecisionRow(Base):
    """One answer, with all that is needed to give it again."""

    __tablename__ = "decisions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[DecisionKind] = mapped_column(coded(DecisionKind))
    created_at: Mapped[datetime] = mapped_column(index=True)
    consult_id: Mapped[str | None] = mapped_column(ForeignKey("consults.id"), index=True)
    subject_user: Mapped[str | None] = mapped_column(String(64), index=True)
    input: Mapped[dict[str, Json]] = mapped_column(EXACT_JSON)
    result: Mapped[dict[str, Json]] = mapped_column(EXACT_JSON)
    models: Mapped[dict[str, str]] = mapped_column(EXACT_JSON)
    rules_version: Mapped[str] = mapped_column(String(64))
    disposition: Mapped[int | None]
    status: Mapped[DecisionStatus] = mapped_column(coded(DecisionStatus))
    seal_nonce: Mapped[str] = mapped_column(String(43))


class AuditEventRow(Base):
    """One link of the chain. `detail` is canonical JSON text, exactly as it was hashed."""

    __tablename__ = "audit_events"

    seq: Mapped[int] = mapped_column(BIG, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(String(128), index=True)
    action: Mapped[str] = mapped_column(String(64), index=True)
    subject: Mapped[str] = mapped_column(String(128), index=True)
    detail: Mapped[str] = mapped_column(Text)
    prev_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class AuditHeadRow(Base):
    """The one row that says where the chain ends, so that a cut tail is noticed."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BIG)
    hash: Mapped[str] = mapped_column(String(64))


class ReviewTaskRow(Base):
    """A decision that waits for a physician. Closed tasks stay, as the record of the review."""

    __tablename__ = "review_tasks"
    __table_args__ = (Index("ix_review_tasks_worklist", "state", "priority", "due_at", "id"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"), unique=True)
    priority: Mapped[int]
    state: Mapped[TaskState] = mapped_column(coded(TaskState))
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    lease_owner: Mapped[str | None] = mapped_column(String(64), index=True)
    lease_expires_at: Mapped[datetime | None]
    fencing_token: Mapped[int]
    reasons: Mapped[list[ReviewReasonRow]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", order_by="ReviewReasonRow.reason"
    )
    decision: Mapped[DecisionRow] = relationship(lazy="raise_on_sql")


class ReviewReasonRow(Base):
    """One reason for which a task is in the queue."""

    __tablename__ = "review_reasons"

    task_id: Mapped[str] = mapped_column(
        ForeignKey("review_tasks.id", ondelete="CASCADE"), primary_key=True
    )
    reason: Mapped[Reason] = mapped_column(coded(Reason), primary_key=True, index=True)


class SignatureRow(Base):
    """What a named physician decided. One per task and one per decision, for good."""

    __tablename__ = "signatures"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("review_tasks.id"), unique=True)
    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"), unique=True)
    reader_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    reader_name: Mapped[str] = mapped_column(String(200))
    outcome: Mapped[Outcome] = mapped_column(coded(Outcome))
    reason_code: Mapped[OverrideReason | None] = mapped_column(coded(OverrideReason))
    comment: Mapped[str | None] = mapped_column(Text)
    corrected_disposition: Mapped[int | None]
    corrected_departments: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    corrected_label: Mapped[str | None] = mapped_column(String(200))
    signed_at: Mapped[datetime] = mapped_column(index=True)


class BlobRow(Base):
    """What is known of a file in the content-addressed folder."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BIG)
    created_at: Mapped[datetime]


class IdempotencyRow(Base):
    """An answered request, so that the same key gets the same answer and no second effect."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    method: Mapped[str] = mapped_column(String(8))
    path: Mapped[str] = mapped_column(String(300))
    request_hash: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(index=True)


class RosterRow(Base):
    """A version of the roster of doctors, whole, as canonical CSV. The newest is in force."""

    __tablename__ = "rosters"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created_at: Mapped[datetime]
    sha256: Mapped[str] = mapped_column(String(64))
    doctors: Mapped[int]
    content: Mapped[str] = mapped_column(Text)


class DoctorDayRow(Base):
    """How many places of a doctor's day are given away. `day` is the hospital's local date."""

    __tablename__ = "doctor_days"

    doctor: Mapped[str] = mapped_column(String(32), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    taken: Mapped[int]


class MatchOutcomeRow(Base):
    """What became of one doctor of a match. The match itself is a decision."""

    __tablename__ = "match_outcomes"

    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"), primary_key=True)
    doctor: Mapped[str] = mapped_column(String(32), primary_key=True)
    outcome: Mapped[MatchOutcome] = mapped_column(coded(MatchOutcome))
    reason: Mapped[RefusalReason | None] = mapped_column(coded(RefusalReason))
    at: Mapped[datetime]


class MatchWeightsRow(Base):
    """A version of learned weights by specialty. The newest is in force; none is ever changed."""

    __tablename__ = "match_weights"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created_at: Mapped[datetime]
    base_version: Mapped[int]
    weights: Mapped[dict[str, Json]] = mapped_column(EXACT_JSON)
    report: Mapped[dict[str, Json]] = mapped_column(EXACT_JSON)


class InstallationSecretRow(Base):
    """A secret of this installation, made once: 32 random bytes in URL-safe base 64."""

    __tablename__ = "installation_secrets"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(String(43))
    created_at: Mapped[datetime]


class DicomInstanceRow(Base):
    """A DICOM instance as it is kept: de-identified, under UIDs that are ours alone.

    `patient_id` is a pseudonym, "" for nobody; `fingerprint` is that of the pixels; `decision_id`
    is the decision that the instance's arrival led to.
    """

    __tablename__ = "dicom_instances"
    __table_args__ = (Index("ix_dicom_instances_study_series", "study_uid", "series_uid"),)

    sop_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    study_uid: Mapped[str] = mapped_column(String(64))
    series_uid: Mapped[str] = mapped_column(String(64))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    patient_id: Mapped[str] = mapped_column(String(16))
    modality: Mapped[str | None] = mapped_column(String(16))
    body_part: Mapped[str | None] = mapped_column(String(16))
    sex: Mapped[str | None] = mapped_column(String(16))
    series_number: Mapped[int | None]
    instance_number: Mapped[int | None]
    rows: Mapped[int]
    columns: Mapped[int]
    bits_allocated: Mapped[int]
    frames: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(String(64), index=True)
    blob: Mapped[str] = mapped_column(ForeignKey("blobs.sha256"))
    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"), index=True)
    uploader: Mapped[str] = mapped_column(String(64))
    stored_at: Mapped[datetime] = mapped_column(index=True)


class StudyImageRow(Base):
    """A picture that was read, by its pixels: how the same picture is known when it comes again."""

    __tablename__ = "study_images"
    __table_args__ = (
        Index("ix_study_images_same_picture", "fingerprint", "task", "model_version"),
    )

    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    fingerprint: Mapped[str] = mapped_column(String(64))
    task: Mapped[str] = mapped_column(String(64))
    model_version: Mapped[int]


class BatchRow(Base):
    """Many requests in one file. `form` is how they came: jsonl or zip; `items` how many.

    `input_folder` is the folder that holds the file (`serving/batches/inputs.py`). A server works
    on the batch until `lease_expires_at`, and only with the newest `fencing_token`.
    """

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    task: Mapped[str] = mapped_column(String(64))
    form: Mapped[str] = mapped_column(String(8))
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BIG)
    items: Mapped[int]
    state: Mapped[BatchState] = mapped_column(coded(BatchState), index=True)
    stop_reason: Mapped[StopReason | None] = mapped_column(coded(StopReason))
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    input_folder: Mapped[str | None] = mapped_column(String(64))
    fencing_token: Mapped[int] = mapped_column(default=0, server_default="0")
    lease_expires_at: Mapped[datetime | None]


class BatchItemRow(Base):
    """What became of one row of a batch: its decision or its problem. Its key makes it happen once.

    The row is written before its decision in their transaction, so the reference is checked at
    the commit.
    """

    __tablename__ = "batch_items"

    batch_id: Mapped[str] = mapped_column(
        ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    file: Mapped[str | None] = mapped_column(String(255))
    outcome: Mapped[ItemOutcome] = mapped_column(coded(ItemOutcome))
    decision_id: Mapped[str | None] = mapped_column(
        ForeignKey("decisions.id", deferrable=True, initially="DEFERRED"), unique=True
    )
    problem: Mapped[dict[str, Json] | None] = mapped_column(JSON(none_as_null=True))
    at: Mapped[datetime]


class AnswerFeedbackRow(Base):
    """What a reader says of an answer from the knowledge base: one of each verdict per reader."""

    __tablename__ = "answer_feedback"
    __table_args__ = (UniqueConstraint("decision_id", "user_id", "verdict"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    decision_id: Mapped[str] = mapped_column(ForeignKey("decisions.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    verdict: Mapped[Verdict] = mapped_column(coded(Verdict))
    comment: Mapped[str | None] = mapped_column(Text)
    passages: Mapped[list[str]] = mapped_column(EXACT_JSON)
    at: Mapped[datetime]


class ProposalRow(Base):
    """A proposed wording of a card's passage in one language, and what became of it.

    `before` is the text as it stood when it was proposed; `state` one of the three stored ones.
    """

    __tablename__ = "knowledge_proposals"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    passage: Mapped[str] = mapped_column(String(128), index=True)
    language: Mapped[str] = mapped_column(String(2))
    before: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    source: Mapped[dict[str, Json] | None] = mapped_column(JSON(none_as_null=True))
    proposer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    proposed_at: Mapped[datetime]
    state: Mapped[ProposalState] = mapped_column(coded(ProposalState), index=True)
    decider_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    decided_at: Mapped[datetime | None]
    comment: Mapped[str | None] = mapped_column(Text)
