"""What an acuity answer says: the level, what decided it, every score, what is missing.

Advice for the triage nurse, preliminary until signed. Never a diagnosis.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from knowledge_base.language import Bilingual, Language
from knowledge_base.rules.ruleset import Source
from models.triage.acuity_request import Scale
from models.triage.result import DispositionResult, FindingResult, ReviewResult, ValueResult


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class AcuityLevelResult(_Frozen):
    """A level of the scale: 1 is the most urgent. `minutes` until a doctor; 0 is at once."""

    scale: Scale
    level: int
    name: Bilingual
    minutes: int


class DecidedBy(_Frozen):
    """What set the level: the floor that raised it (or holds as high), the model, or caution."""

    kind: Literal["floor", "model", "caution"]
    id: str
    reason: Bilingual


class FloorResult(_Frozen):
    """A floor that holds, with its level on this scale and its sources."""

    id: str
    level: int
    rationale: Bilingual
    sources: tuple[Source, ...]
    checked: bool


class PartResult(_Frozen):
    """Points of one measurement."""

    name: str
    label: Bilingual
    points: int | None


class ScoreReport(_Frozen):
    """A score. `total` is a lower bound unless `complete`; `refused` says why there is none."""

    id: str
    name: Bilingual
    total: int | None
    complete: bool
    parts: tuple[PartResult, ...]
    missing: tuple[str, ...]
    band: str | None
    meaning: Bilingual | None
    minutes: int | None
    refused: str | None
    checked: bool


class GradeReport(_Frozen):
    """Levels by single measurements; `level` None says nothing while something is missing."""

    id: str
    name: Bilingual
    level: int | None
    because: tuple[str, ...]
    missing: tuple[str, ...]
    refused: str | None
    checked: bool


class LevelProbability(_Frozen):
    """The model's calibrated probability of a level."""

    level: int
    probability: float


class AcuityResult(_Frozen):
    """One acuity answer.

    `model_level` is the model's own answer and `prediction_set` the levels that it cannot rule out
    at its stated coverage; both are empty where no model could be asked.
    """

    label: Bilingual
    status: Literal["preliminary"] = "preliminary"
    language: Language
    acuity: AcuityLevelResult
    decided_by: DecidedBy
    disposition: DispositionResult
    model_level: int | None
    probabilities: tuple[LevelProbability, ...]
    prediction_set: tuple[int, ...]
    floors: tuple[FloorResult, ...]
    news2: ScoreReport
    qsofa: ScoreReport
    mews: ScoreReport
    china: GradeReport
    danger_vitals: GradeReport
    findings: tuple[FindingResult, ...]
    presentations: tuple[Bilingual, ...]
    red_flags: tuple[str, ...]
    values: tuple[ValueResult, ...]
    contradictions: tuple[str, ...]
    missing: tuple[str, ...]
    review: ReviewResult
    models: dict[str, int]
    versions: dict[str, str]
