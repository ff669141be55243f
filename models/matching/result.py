"""What a match answers: a first doctor, alternates, and why. Texts in both languages."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from knowledge_base.language import Bilingual
from knowledge_base.matching.weights import FeatureName


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Contribution(_Frozen):
    """One feature's part of a score: `value` as the roster has it, `number` from 0 to 1."""

    feature: FeatureName
    name: Bilingual
    value: float | None
    number: float
    weight: float
    contribution: float


class Candidate(_Frozen):
    """A doctor who meets every condition. `specialty` says whose weights were used."""

    doctor: str
    department: str
    department_name: Bilingual
    choice: int
    specialty: str
    score: float
    free_places: int
    contributions: tuple[Contribution, ...]
    reasons: tuple[Bilingual, ...]


class Removed(_Frozen):
    """How many doctors a condition removed: each is counted once, under the first unmet.

    `alone` would be gained by lifting this condition and no other; null for the department.
    """

    condition: str
    name: Bilingual
    doctors: int
    alone: int | None


class MatchResult(_Frozen):
    """The whole answer; `first` is null and `alternates` empty when nobody is eligible."""

    status: Literal["matched", "nobody"]
    summary: Bilingual
    first: Candidate | None
    alternates: tuple[Candidate, ...]
    eligible: int
    removed: tuple[Removed, ...]

    @property
    def shown(self) -> tuple[Candidate, ...]:
        """All who were proposed, in order."""
        return () if self.first is None else (self.first, *self.alternates)
