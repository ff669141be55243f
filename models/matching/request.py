"""What may be asked of a match. Validated once, at the border; words must be of our vocabulary."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.matching.vocabulary import vocabulary
from knowledge_base.rules.facts import Sex

Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
"""A doctor's code."""


class MatchRequest(BaseModel):
    """One patient's need. Departments are codes of either level, the preferred first.

    With `decision_id`, what is left out is taken from that triage: departments, age, sex and
    urgency; of two urgencies the more urgent counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    department: str | None = Field(default=None, max_length=64, description="Instead of a list.")
    departments: tuple[Annotated[str, Field(max_length=64)], ...] = Field(
        default=(), max_length=5, description="Codes of the taxonomy, the preferred first."
    )
    age_years: float | None = Field(default=None, ge=0, le=125)
    sex: Sex | None = None
    languages: tuple[Annotated[str, Field(max_length=16)], ...] = Field(
        default=(), max_length=10, description="The doctor must speak one of them."
    )
    needs: tuple[Annotated[str, Field(max_length=64)], ...] = Field(
        default=(), max_length=5, description="Subspecialties; the doctor must have all."
    )
    urgency: int | None = Field(default=None, ge=1, le=5, description="Disposition level.")
    seen_before: tuple[Code, ...] = Field(
        default=(), max_length=20, description="Doctors who know this patient."
    )
    exclude: tuple[Code, ...] = Field(
        default=(), max_length=20, description="Doctors not to propose."
    )
    at: AwareDatetime | None = Field(default=None, description="When; now by default.")
    decision_id: str | None = Field(
        default=None, max_length=64, description="A triage of this patient."
    )

    @field_validator("department", "departments")
    @classmethod
    def _known_departments(cls, given: str | tuple[str, ...] | None) -> object:
        known = taxonomy().departments.keys() | taxonomy().parents.keys()
        codes = (given,) if isinstance(given, str) else given or ()
        if not set(codes) <= known:
            raise ValueError("not a department of the taxonomy")
        return given

    @field_validator("languages")
    @classmethod
    def _known_languages(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not set(given) <= vocabulary().languages.names.keys():
            raise ValueError("not a language of the vocabulary")
        return given

    @field_validator("needs")
    @classmethod
    def _known_needs(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not set(given) <= vocabulary().subspecialties.names.keys():
            raise ValueError("not a subspecialty of the vocabulary")
        return given

    @model_validator(mode="after")
    def _somewhere(self) -> MatchRequest:
        if self.department and self.departments:
            raise ValueError("give department or departments, not both")
        if not (self.department or self.departments or self.decision_id):
            raise ValueError("give departments or decision_id")
        return self

    @property
    def asked(self) -> tuple[str, ...]:
        """The departments asked for, whichever way they came."""
        return (self.department,) if self.department else self.departments


def choices_of(codes: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    """Level-2 departments of each code: a level-1 code stands for all of its children."""
    known = taxonomy()
    return tuple(
        frozenset(known.parents[code].children) if code in known.parents else frozenset((code,))
        for code in codes
    )
