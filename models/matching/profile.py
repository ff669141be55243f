"""The two sides of a match: what a roster says of a doctor, and what a patient needs.

A doctor is a code, never a name. What is not known is None and counts neither for nor against.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from knowledge_base.matching.weights import FeatureName
from knowledge_base.rules.facts import Sex
from models.matching.duty import Duty


@dataclass(frozen=True)
class Doctor:
    """One row of a roster.

    Sees patients of `age_min` years or more and under `age_max`, of `patient_sex` alone where it
    is given. `capacity` is how many new patients a day. Figures: a rating of 0 to 5 by
    `rating_count` patients, the usual minutes to a first answer, consultations and operations of
    the last three years.
    """

    code: str
    department: str
    duty: Duty
    capacity: int
    subspecialties: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("zh",)
    age_min: float | None = None
    age_max: float | None = None
    patient_sex: Sex | None = None
    rating: float | None = None
    rating_count: int = 0
    response_minutes: float | None = None
    visits_3y: float | None = None
    surgery_volume_3y: float | None = None

    def figure(self, name: FeatureName) -> float | None:
        """The figure that a roster holds for a feature; None where it holds none."""
        figures: dict[FeatureName, float | None] = {
            "rating": self.rating,
            "response_minutes": self.response_minutes,
            "visits_3y": self.visits_3y,
            "surgery_volume_3y": self.surgery_volume_3y,
        }
        return figures.get(name)


@dataclass(frozen=True)
class Need:
    """What is asked for.

    `choices` are sets of level-2 departments, the preferred first. A doctor must have every
    subspecialty and speak one of the languages (where any is named). `at` is the hospital's local
    time. `seen_before` and `exclude` are codes of doctors.
    """

    choices: tuple[frozenset[str], ...]
    at: datetime
    age_years: float | None = None
    sex: Sex | None = None
    languages: frozenset[str] = frozenset()
    subspecialties: frozenset[str] = frozenset()
    seen_before: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()

    def choice_of(self, department: str) -> int | None:
        """Which choice a department belongs to, from 0; None when it was not asked for."""
        return next((i for i, codes in enumerate(self.choices) if department in codes), None)
