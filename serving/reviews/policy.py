"""Which decisions enter the review queue, with what priority and due time.

The numbers are data in `policy.yaml`. The answer depends on nothing but its arguments: even the
random sample is drawn from the decision's id, so that an auditor can draw it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from serving.storage.codes import DecisionKind, Reason

POLICY_FILE = Path(__file__).with_name("policy.yaml")
DISPOSITIONS = range(1, 6)

ALWAYS_QUEUED = frozenset({DecisionKind.IMAGING})
"""Kinds that are signed before release: recording one without a review is refused."""


@dataclass(frozen=True)
class ReviewRequest:
    """That a decision must be reviewed: why, in what order and within what time."""

    reasons: tuple[Reason, ...]
    priority: int
    due_within: timedelta


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Level(_Strict):
    """A rung of the ladder: smaller priorities are read first."""

    priority: int = Field(ge=1, le=9)
    due_minutes: int = Field(gt=0)


class ReasonLevel(Level):
    """A reason's own rung, and whether the disposition's counts as well."""

    follows_disposition: bool


class Sample(_Strict):
    """The random audit: a share of all decisions but of the kinds `without`, drawn by hash."""

    rate: float = Field(ge=0, le=1)
    seed: str = Field(min_length=1)
    without: frozenset[DecisionKind] = frozenset()

    def draws(self, decision_id: str) -> bool:
        """Whether the decision is in the sample: sha256 of seed and id, as a share of 2^64."""
        digest = hashlib.sha256(f"{self.seed}:{decision_id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.rate * 2**64


class ReviewPolicy(_Strict):
    """The policy file, validated: every disposition and every reason has its row."""

    version: str
    basis: str
    high_urgency_up_to: Annotated[int, Field(ge=2, le=5)]
    sample: Sample
    dispositions: dict[int, Level]
    reasons: dict[Reason, ReasonLevel]

    @model_validator(mode="after")
    def _complete(self) -> ReviewPolicy:
        if set(self.dispositions) != set(DISPOSITIONS):
            raise ValueError("dispositions 1 to 5 need a row each")
        if missing := set(Reason) - set(self.reasons):
            raise ValueError(f"reasons without a row: {sorted(missing)}")
        return self

    @classmethod
    def load(cls, path: Path = POLICY_FILE) -> ReviewPolicy:
        """Read a policy file. Raises pydantic's ValidationError when it is not complete."""
        return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))

    def request(
        self,
        *,
        decision_id: str,
        kind: DecisionKind,
        disposition: int | None,
        reasons: Collection[Reason] = (),
    ) -> ReviewRequest | None:
        """The review that a decision needs, or None.

        `reasons` are those that the task saw (crisis, abstained, not understood, …); the
        policy adds imaging, high urgency and the random sample by itself.
        """
        why = set(reasons)
        if kind is DecisionKind.IMAGING:
            why.add(Reason.IMAGING)
        if disposition is not None and disposition <= self.high_urgency_up_to:
            why.add(Reason.HIGH_URGENCY)
        if kind not in self.sample.without and self.sample.draws(decision_id):
            why.add(Reason.RANDOM_SAMPLE)
        return self.level(why, disposition) if why else None

    def level(self, reasons: Collection[Reason], disposition: int | None) -> ReviewRequest:
        """Priority and due time for given reasons: the most urgent of the rows that apply."""
        rows: list[Level] = [self.reasons[reason] for reason in reasons]
        if disposition is not None and any(self.reasons[r].follows_disposition for r in reasons):
            rows.append(self.dispositions[disposition])
        return ReviewRequest(
            reasons=tuple(reason for reason in Reason if reason in reasons),
            priority=min(row.priority for row in rows),
            due_within=timedelta(minutes=min(row.due_minutes for row in rows)),
        )
