"""The numbers of a case: values and ages that were said or measured, the worse of two.

Judges nothing: what a value means is the rules' matter.
"""

from __future__ import annotations

from models.text.findings import Reading
from models.triage.request import TriageRequest

_USUAL = {
    "heart_rate": 80.0, "respiratory_rate": 16.0, "systolic_bp": 120.0, "diastolic_bp": 80.0,
    "temperature_c": 36.8, "spo2": 100.0, "glucose_mmol_l": 6.0, "pain_score": 0.0,
    "gestation_weeks": 0.0, "weight_kg": 60.0,
}  # fmt: skip
"""Where each value usually lies: of two values the one farther from it is the worse."""
_TOLERANCE = 0.1
"""Relative difference from which a stated and a measured value contradict each other."""


def worst_values(
    request: TriageRequest, readings: tuple[Reading, ...], contradictions: set[str]
) -> dict[str, float]:
    """The worst of each value; names of values that differ are added to `contradictions`."""
    given: dict[str, list[float]] = {}
    for reading in readings:
        for value in reading.values:
            given.setdefault(value.name, []).append(value.value)
    for name, number in request.vitals.numbers().items():
        if any(abs(v - number) > _TOLERANCE * abs(number) for v in given.get(name, ())):
            contradictions.add(name)
        given.setdefault(name, []).append(number)
    return {
        name: max(numbers, key=lambda v: abs(v - _USUAL[name])) for name, numbers in given.items()
    }


def all_ages(request: TriageRequest, readings: tuple[Reading, ...]) -> tuple[float, ...]:
    """Every age that was given, the request's first: whose it is may be unclear."""
    stated = [age for reading in readings for age in reading.ages_years]
    if request.age_years is not None:
        # Speech rounds: "six years old" and 6.4 are one age.
        stated = [a for a in stated if abs(a - (request.age_years or 0)) > max(1.0, 0.1 * a)]
        stated.insert(0, request.age_years)
    return tuple(dict.fromkeys(stated))
