"""The conditions that a doctor must meet, whatever the weights say, in the order they are told.

A condition that cannot be judged removes: a doctor for women is not offered to a patient whose
sex was not stated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from models.matching.profile import Doctor, Need
from models.matching.roster import Roster

Taken = Mapping[str, int]
"""Places given away on the day of the match, by doctor."""


def free_places(doctor: Doctor, taken: Taken) -> int:
    """Places that are left on the day; never below 0, even where a new roster has fewer."""
    return max(0, doctor.capacity - taken.get(doctor.code, 0))


def _subspecialty(doctor: Doctor, need: Need, _taken: Taken) -> bool:
    return need.subspecialties <= set(doctor.subspecialties)


def _age(doctor: Doctor, need: Need, _taken: Taken) -> bool:
    if need.age_years is None:
        return doctor.age_min is None and doctor.age_max is None
    old_enough = doctor.age_min is None or need.age_years >= doctor.age_min
    young_enough = doctor.age_max is None or need.age_years < doctor.age_max
    return old_enough and young_enough


def _sex(doctor: Doctor, need: Need, _taken: Taken) -> bool:
    return doctor.patient_sex is None or doctor.patient_sex == need.sex


def _language(doctor: Doctor, need: Need, _taken: Taken) -> bool:
    return not need.languages or not need.languages.isdisjoint(doctor.languages)


def _excluded(doctor: Doctor, need: Need, _taken: Taken) -> bool:
    return doctor.code not in need.exclude


def _duty(doctor: Doctor, need: Need, _taken: Taken) -> bool:
    return doctor.duty.covers(need.at)


def _capacity(doctor: Doctor, _need: Need, taken: Taken) -> bool:
    return free_places(doctor, taken) > 0


DEPARTMENT = "department"
CONDITIONS: Mapping[str, Callable[[Doctor, Need, Taken], bool]] = {
    "subspecialty": _subspecialty,
    "age": _age,
    "sex": _sex,
    "language": _language,
    "excluded": _excluded,
    "duty": _duty,
    "capacity": _capacity,
}
"""After the department, which is looked up instead of asked of every doctor."""


@dataclass(frozen=True)
class Sifted:
    """Who passed, and by which condition the others were removed.

    `removed` counts each doctor once, under the first condition not met. `alone` counts those
    whom a single condition keeps out: who would be gained by lifting it.
    """

    eligible: Sequence[Doctor]
    removed: Mapping[str, int]
    alone: Mapping[str, int]


def sift(roster: Roster, need: Need, taken: Taken) -> Sifted:
    """Every doctor of the roster judged by every condition."""
    eligible: list[Doctor] = []
    removed: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    asked = [d for d in roster.by_department if need.choice_of(d) is not None]
    for department in asked:
        for doctor in roster.by_department[department]:
            unmet = [name for name, met in CONDITIONS.items() if not met(doctor, need, taken)]
            if not unmet:
                eligible.append(doctor)
                continue
            removed[unmet[0]] += 1
            if len(unmet) == 1:
                alone[unmet[0]] += 1
    removed[DEPARTMENT] = len(roster.doctors) - len(eligible) - sum(removed.values())
    return Sifted(eligible, removed, alone)
