"""Records for tests, made by the service's own functions."""

from __future__ import annotations

import itertools

from serving import decisions
from serving.clock import FixedClock, Ids
from serving.decisions import DecisionRecord
from serving.reviews.policy import ReviewPolicy
from serving.storage.codes import DecisionKind, Reason
from serving.storage.database import Database

POLICY = ReviewPolicy.load()


def counting_ids(clock: FixedClock) -> Ids:
    """Ids whose random part counts up: the same test makes the same ids."""
    numbers = itertools.count(1)
    return Ids(clock, lambda size: next(numbers).to_bytes(size, "big"))


def decide_in(
    db: Database,
    *reasons: Reason,
    disposition: int | None = 3,
    kind: DecisionKind = DecisionKind.TRIAGE,
    consult_id: str | None = None,
) -> DecisionRecord:
    """Record a decision; its review is levelled by the shipped policy, without the sample."""
    return decisions.record(
        db,
        kind=kind,
        input={"text": "头痛三天，加重半天"},
        result={"disposition": disposition},
        models={"triage-zh": "1"},
        rules_version="2026.1",
        disposition=disposition,
        review=POLICY.level(reasons, disposition) if reasons else None,
        actor="usr_app",
        consult_id=consult_id,
    )
