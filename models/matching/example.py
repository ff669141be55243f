"""An example roster: invented doctors by code, the same ones every time. Nobody is meant.

For trying the service and for measuring it; `knowledge_base/matching/example_roster.csv` is its
first forty.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.matching.vocabulary import vocabulary
from knowledge_base.rules.facts import Sex
from models.matching.duty import parse_duty
from models.matching.profile import Doctor

SEED = 20261101
LANGUAGES = ("yue", "en", "wuu", "bo", "ug", "csl")
HOURS = (
    "mon-fri 08:00-12:00,14:00-17:30",
    "mon,wed,fri 08:00-12:00,14:00-17:30",
    "tue,thu 08:00-12:00,14:00-17:30;sat 08:00-12:00",
    "mon-sat 08:00-12:00",
    "fri-sun 18:00-02:00;mon 08:00-12:00",
)
COMMON = (
    "emergency_medicine", "cardiology", "surgical_oncology", "general_paediatrics", "neurology",
    "medical_oncology", "orthopaedics", "gynaecology", "surgical_oncology", "psychiatry",
    "respiratory", "gastroenterology", "general_surgery", "dermatology", "surgical_oncology",
    "ophthalmology", "endocrinology", "gynaecological_oncology", "urology", "general_internal",
)  # fmt: skip
"""Departments of the first doctors, in turn; a larger roster goes on through the taxonomy."""

_OPERATING = frozenset({"surgery", "oncology", "obstetrics_gynaecology", "eye_ear_mouth"})


def example_doctors(count: int = 40, seed: int = SEED) -> tuple[Doctor, ...]:
    """So many invented doctors, D001 onwards."""
    draw = random.Random(seed)
    later = tuple(taxonomy().departments)
    width = max(3, len(str(count)))
    return tuple(
        _doctor(
            draw,
            f"D{number:0{width}d}",
            COMMON[(number - 1) % len(COMMON)]
            if number <= 2 * len(COMMON)
            else later[number % len(later)],
        )
        for number in range(1, count + 1)
    )


def _doctor(draw: random.Random, code: str, department: str) -> Doctor:
    words = vocabulary()
    parent = taxonomy().departments[department].parent
    fields = [s for s, owner in words.department_of.items() if owner == department]
    known = draw.random() > 0.15  # some figures are missing, as they are in any hospital
    operating = parent in _OPERATING and department != "medical_oncology"
    sex: Sex | None = "female" if parent == "obstetrics_gynaecology" else None
    hours = "always" if parent == "emergency" else draw.choice(HOURS)
    return Doctor(
        code=code,
        department=department,
        duty=parse_duty(hours),
        capacity=draw.choice((4, 6, 8, 10, 12)),
        subspecialties=tuple(sorted(draw.sample(fields, min(len(fields), draw.randint(1, 2))))),
        languages=("zh", *_languages(draw)),
        age_min=None if parent in ("paediatrics", "emergency") else 14.0,
        age_max=14.0 if parent == "paediatrics" else None,
        patient_sex=sex,
        rating=round(draw.uniform(3.8, 5.0), 1) if known else None,
        rating_count=draw.randint(5, 900) if known else 0,
        response_minutes=float(draw.choice((3, 5, 10, 15, 20, 30, 45, 60))),
        visits_3y=float(draw.randint(5, 120) * 100),
        surgery_volume_3y=float(draw.randint(2, 90) * 10) if operating and known else None,
    )


def _languages(draw: random.Random) -> Sequence[str]:
    return draw.sample(LANGUAGES, draw.choice((0, 0, 1, 1, 2)))
