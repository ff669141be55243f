"""A match: the doctors who meet every condition, in order of choice and score, with reasons.

Pure and deterministic: the same roster, need, places and weights give the same answer. The
score of a doctor is the weighted sum of numbers from 0 to 1 (weights.yaml says which). A doctor
of a department that was asked for first comes before one of a later choice whatever the scores;
equal scores go to whoever has more places left, then by code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowledge_base.language import Bilingual
from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.matching.weights import FeatureName, check_weights, weighting
from knowledge_base.matching.wording import fill, wording
from models.matching.filters import CONDITIONS, DEPARTMENT, Sifted, Taken, free_places, sift
from models.matching.profile import Doctor, Need
from models.matching.result import Candidate, Contribution, MatchResult, Removed
from models.matching.roster import Roster

ALTERNATES = 3
SpecialtyWeights = Mapping[str, Mapping[FeatureName, float]]
"""Weights by specialty, as learned; a specialty that is missing keeps the shipped ones."""


def match(
    roster: Roster, need: Need, taken: Taken, learned: SpecialtyWeights | None = None
) -> MatchResult:
    """The first doctor and three alternates, or how many each condition removed.

    Raises ValueError for learned weights that are negative or do not sum to 1.
    """
    weights = weights_in_force(learned or {})
    sifted = sift(roster, need, taken)
    ranked = sorted(
        (_rate(roster, doctor, need, taken, weights) for doctor in sifted.eligible),
        key=lambda r: (r.choice, -r.score, -r.free, r.doctor.code),
    )
    # Candidates are drawn up for those alone who are shown: that costs more than ranking.
    shown = [_candidate(roster, rated, need) for rated in ranked[: 1 + ALTERNATES]]
    texts = wording().summaries
    return MatchResult(
        status="matched" if shown else "nobody",
        summary=fill(texts["matched"], eligible=len(ranked), alternates=len(shown) - 1)
        if shown
        else texts["nobody"],
        first=shown[0] if shown else None,
        alternates=tuple(shown[1:]),
        eligible=len(ranked),
        removed=tuple(_removed(sifted)),
    )


def weights_in_force(learned: SpecialtyWeights) -> dict[str, Mapping[FeatureName, float]]:
    """The shipped weights of every specialty, replaced where others were learned."""
    shipped = {code: s.weights for code, s in weighting().specialties.items()}
    return {
        code: check_weights(learned[code]) if code in learned else weights
        for code, weights in shipped.items()
    }


@dataclass(frozen=True)
class _Rated:
    """An eligible doctor with what he is ranked by; `numbers` are from 0 to 1, by feature."""

    doctor: Doctor
    choice: int
    specialty: str
    free: int
    weights: Mapping[FeatureName, float]
    numbers: Mapping[FeatureName, float]
    score: float


def _rate(
    roster: Roster,
    doctor: Doctor,
    need: Need,
    taken: Taken,
    weights: Mapping[str, Mapping[FeatureName, float]],
) -> _Rated:
    choice = need.choice_of(doctor.department)
    assert choice is not None, "only departments that were asked for are sifted"
    specialty = weighting().specialty_of(doctor.department)
    free = free_places(doctor, taken)
    shares: Mapping[FeatureName, float] = {
        "free_share": free / doctor.capacity,
        "continuity": float(doctor.code in need.seen_before),
    }
    numbers = {
        name: shares[name] if name in shares else roster.standing(name, doctor)
        for name in weights[specialty]
    }
    score = sum(weight * numbers[name] for name, weight in weights[specialty].items())
    return _Rated(doctor, choice, specialty, free, weights[specialty], numbers, round(score, 6))


def _candidate(roster: Roster, rated: _Rated, need: Need) -> Candidate:
    department = taxonomy().departments[rated.doctor.department]
    candidate = Candidate(
        doctor=rated.doctor.code,
        department=department.code,
        department_name={"zh": department.zh, "en": department.en},
        choice=rated.choice,
        specialty=rated.specialty,
        score=rated.score,
        free_places=rated.free,
        contributions=tuple(_contribution(rated, name) for name in rated.weights),
        reasons=(),
    )
    return candidate.model_copy(update={"reasons": tuple(_reasons(candidate, roster, need))})


def _contribution(rated: _Rated, name: FeatureName) -> Contribution:
    feature, number = weighting().features[name], rated.numbers[name]
    return Contribution(
        feature=name,
        name=feature.name,
        value=number if feature.kind == "share" else rated.doctor.figure(name),
        number=round(number, 6),
        weight=round(rated.weights[name], 6),
        contribution=round(rated.weights[name] * number, 6),
    )


def _reasons(candidate: Candidate, roster: Roster, need: Need) -> Sequence[Bilingual]:
    texts = wording().reasons
    reasons: list[Bilingual] = []
    if candidate.choice > 0:
        reasons.append(
            fill(
                texts["later_department"],
                department=candidate.department_name,
                position=candidate.choice + 1,
            )
        )
    if candidate.doctor in need.seen_before:
        reasons.append(texts["continuity"])
    alone = len(roster.by_department[candidate.department]) == 1
    for part in sorted(candidate.contributions, key=lambda p: -p.contribution):
        if part.weight == 0 or weighting().features[part.feature].kind == "share":
            continue
        if part.value is None:
            reasons.append(fill(texts["missing"], feature=part.name))
            continue
        reasons.append(
            fill(
                texts["standing_alone" if alone else "standing"],
                feature=part.name,
                value=f"{part.value:g}",
                percent=round(part.number * 100),
            )
        )
    reasons.append(fill(texts["free"], free=candidate.free_places))
    return reasons


def _removed(sifted: Sifted) -> list[Removed]:
    names = wording().filters
    return [
        Removed(
            condition=name,
            name=names[name],
            doctors=sifted.removed.get(name, 0),
            alone=None if name == DEPARTMENT else sifted.alone.get(name, 0),
        )
        for name in (DEPARTMENT, *CONDITIONS)
        if sifted.removed.get(name, 0)
    ]
