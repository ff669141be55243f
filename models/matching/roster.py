"""A roster ready for matching: doctors by department, and where each stands in it.

A standing is taken among all doctors of the department, not among those who happen to be free:
two doctors keep their order when a third goes off duty.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from knowledge_base.matching.weights import FeatureName, weighting
from models.matching.profile import Doctor

NEUTRAL = 0.5
"""What a missing figure counts: it beats one half of the department and loses to the other."""


class Roster:
    """Doctors by code and by department. Immutable."""

    def __init__(self, doctors: Iterable[Doctor]) -> None:
        """Raises ValueError where a code occurs twice."""
        self.doctors = tuple(sorted(doctors, key=lambda doctor: doctor.code))
        self.by_code: Mapping[str, Doctor] = MappingProxyType({d.code: d for d in self.doctors})
        if len(self.by_code) != len(self.doctors):
            raise ValueError("a doctor's code occurs twice")
        by_department: dict[str, list[Doctor]] = defaultdict(list)
        for doctor in self.doctors:
            by_department[doctor.department].append(doctor)
        self.by_department: Mapping[str, Sequence[Doctor]] = MappingProxyType(dict(by_department))
        self._standings: dict[FeatureName, dict[str, float]] = {
            name: {} for name, feature in weighting().features.items() if feature.kind == "standing"
        }
        for members in self.by_department.values():
            for name, places in self._standings.items():
                places.update(standings(name, members))

    def standing(self, name: FeatureName, doctor: Doctor) -> float:
        """The share of the department that the doctor's figure beats; 0.5 where it is missing."""
        return self._standings[name].get(doctor.code, NEUTRAL)


def standings(name: FeatureName, members: Sequence[Doctor]) -> dict[str, float]:
    """Standing by code of every doctor of a department with a figure; alone means 0.5.

    (others beaten + half the others tied) / others, over figures rounded to the feature's step.
    """
    feature = weighting().features[name]
    if feature.step is None:
        raise ValueError(f"{name} is no standing")
    figures = _trusted_ratings(members) if name == "rating" else _figures(name, members)
    sign = 1 if feature.better == "higher" else -1
    rounded = {code: sign * round(figure / feature.step) for code, figure in figures.items()}
    order = sorted(rounded.values())
    others = len(order) - 1
    if others == 0:
        return dict.fromkeys(rounded, NEUTRAL)
    places = {}
    for code, figure in rounded.items():
        beaten = bisect_left(order, figure)
        tied = bisect_right(order, figure) - beaten - 1
        places[code] = (beaten + tied / 2) / others
    return places


def _figures(name: FeatureName, members: Sequence[Doctor]) -> dict[str, float]:
    return {d.code: figure for d in members if (figure := d.figure(name)) is not None}


def _trusted_ratings(members: Sequence[Doctor]) -> dict[str, float]:
    """Ratings drawn towards the department's mean, the fewer patients gave them the more."""
    rated = [d for d in members if d.rating is not None and d.rating_count > 0]
    total = sum(d.rating_count for d in rated)
    if not total:
        return {}
    mean = sum((d.rating or 0.0) * d.rating_count for d in rated) / total
    prior = weighting().rating_prior_count
    return {
        d.code: ((d.rating or 0.0) * d.rating_count + mean * prior) / (d.rating_count + prior)
        for d in rated
    }
