"""The codes that rows are made of. One list for tables, services, API and documentation."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Who a user is. What a role may do is in `serving/users.py`."""

    PATIENT_APP = "patient_app"
    IMAGING_DEVICE = "imaging_device"
    PHYSICIAN = "physician"
    ADMINISTRATOR = "administrator"


class DecisionKind(StrEnum):
    """What kind of answer was given."""

    TRIAGE = "triage"
    IMAGING = "imaging"
    ORDER = "order"
    MATCH = "match"
    ACUITY = "acuity"
    KNOWLEDGE = "knowledge"


class DecisionStatus(StrEnum):
    """Advice is preliminary until a named physician signs or overrides it."""

    PRELIMINARY = "preliminary"
    SIGNED = "signed"
    OVERRIDDEN = "overridden"


class Reason(StrEnum):
    """Why a decision is in the review queue."""

    CRISIS = "crisis"
    HIGH_URGENCY = "high_urgency"
    ORDER_STOP = "order_stop"
    IMAGING = "imaging"
    ABSTAINED = "abstained"
    NOT_UNDERSTOOD = "not_understood"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    LOW_CONFIDENCE = "low_confidence"
    DUPLICATE = "duplicate"
    TEXT_IN_PICTURE = "text_in_picture"
    COMPLAINT = "complaint"
    RANDOM_SAMPLE = "random_sample"


class TaskState(StrEnum):
    """Where a review task stands. The legal moves are in `serving/reviews/machine.py`."""

    OPEN = "open"
    LEASED = "leased"
    SIGNED = "signed"
    OVERRIDDEN = "overridden"


class Outcome(StrEnum):
    """What a physician did with a decision."""

    SIGNED = "signed"
    OVERRIDDEN = "overridden"


class OverrideReason(StrEnum):
    """Why a physician decided otherwise. `other` needs words."""

    RULE_WRONG = "rule_wrong"
    FINDING_MISSED = "finding_missed"
    FINDING_WRONG = "finding_wrong"
    IMAGE_QUALITY = "image_quality"
    CONTEXT_UNKNOWN_TO_AI = "context_unknown_to_ai"
    PATIENT_PREFERENCE = "patient_preference"
    OTHER = "other"


class ConsultStatus(StrEnum):
    """Where a chat stands."""

    OPEN = "open"
    CLOSED = "closed"
    EMERGENCY = "emergency"


class BatchState(StrEnum):
    """Where a batch stands. The legal moves are in `serving/batches/machine.py`."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class StopReason(StrEnum):
    """Why a batch was cancelled."""

    REQUESTED = "requested"
    INPUT_LOST = "input_lost"
    OWNER_REFUSED = "owner_refused"


class ItemOutcome(StrEnum):
    """What became of one row of a batch."""

    DONE = "done"
    FAILED = "failed"


class MatchOutcome(StrEnum):
    """What became of a proposed doctor. The legal moves are in `serving/storage/matches.py`."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class RefusalReason(StrEnum):
    """Why a proposed doctor was refused, by the patient or by the doctor."""

    PATIENT_PREFERENCE = "patient_preference"
    OUTSIDE_EXPERTISE = "outside_expertise"
    DOCTOR_UNAVAILABLE = "doctor_unavailable"
    NO_LONGER_NEEDED = "no_longer_needed"
    OTHER = "other"


class Verdict(StrEnum):
    """What a reader says of an answer from the knowledge base. All but `helpful` are complaints."""

    WRONG = "wrong"
    INCOMPLETE = "incomplete"
    OUTDATED = "outdated"
    NOT_SUPPORTED = "not_supported"
    HELPFUL = "helpful"


class ProposalState(StrEnum):
    """Where a proposed wording stands.

    Only the first three are stored. The others follow from what the card says now: `outdated` when
    the passage has changed since, `applied` when it reads as an accepted proposal wanted it.
    """

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    OUTDATED = "outdated"
    APPLIED = "applied"
