"""What the acuity models see of a case: a row of named numbers.

The order and meaning of the numbers are part of a shipped model: a change here needs a new one
(the manifest keeps a digest of the names and loading compares it). A missing measurement is its
usual value with a flag beside it; nothing here reads a label.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from knowledge_base.rules.facts import Severity
from knowledge_base.rules.presentations import presentations, resources_of
from knowledge_base.rules.scores import ScoreResult
from models.triage.acuity_case import AcuityCase

Row = NDArray[np.float32]

_VITALS: dict[str, tuple[float, float, float]] = {
    "heart_rate": (80, 60, 100), "respiratory_rate": (18, 12, 20), "systolic_bp": (130, 100, 160),
    "diastolic_bp": (80, 55, 100), "temperature_c": (36.7, 36.0, 37.8), "spo2": (98, 95, 100),
}  # fmt: skip
"""Usual value and an adult's normal range, by name."""
_CHILD_RATES = (
    (1, (100, 160), (30, 55)), (3, (90, 150), (20, 40)), (8, (75, 130), (18, 30)),
    (14, (65, 110), (14, 24)),
)  # fmt: skip
"""Normal heart and respiratory rates under an age in years (rounded from paediatric charts)."""
_CONSCIOUSNESS = {"alert": 0, "confused": 1, "voice": 1, "pain": 2, "unresponsive": 3}
_ARRIVALS = ("walking", "public_ambulance", "private_vehicle", "private_ambulance")
_AMBULANCE = ("ems ", "ambulance", "paramedic", "911", "救护车", "120送")
_VITALS_NORMAL = (
    "within normal", "wnl", "vital signs stable", "stable vital", "vital signs are stable",
    "no abnormal vital", "生命体征平稳",
)  # fmt: skip


def feature_names() -> tuple[str, ...]:
    """Names of the numbers, in order."""
    return tuple(name for name, _ in _numbers(None))


def features_digest() -> int:
    """A number that changes with the names or the order of the features."""
    return zlib.crc32("\n".join(feature_names()).encode())


def features(case: AcuityCase) -> Row:
    """The row float32 [F] of a case."""
    return np.asarray([value for _, value in _numbers(case)], dtype=np.float32)


def _numbers(case: AcuityCase | None) -> Iterator[tuple[str, float]]:
    """Every feature with its name; without a case, the names with zeros."""
    yield from _person(case)
    yield from _measured(case)
    yield from _warnings(case)
    found = {p.id for p in case.presents} if case else set()
    for one in presentations().listed:
        yield f"presents_{one.id}", float(one.id in found)


def _person(case: AcuityCase | None) -> Iterator[tuple[str, float]]:
    request = case.request if case else None
    age = case.measured.age_years if case else None
    yield "age", 45.0 if age is None else age
    yield "infant", float(age is not None and age < 1)
    yield "child", float(age is not None and age < 14)
    yield "old", float(age is not None and age >= 65)
    yield "male", float(case is not None and case.case.facts.sex == "male")
    yield "pregnant", float(case is not None and bool(case.measured.pregnant))
    arrival = request.arrival if request else None
    for mode in _ARRIVALS:
        yield f"arrival_{mode}", float(arrival == mode)
    said = case is not None and any(word in case.note for word in _AMBULANCE)
    yield "ambulance", float(said or arrival in ("public_ambulance", "private_ambulance"))
    yield "injury", float(bool(request and request.injury))
    yield "words", float(len(case.note.split()) if case else 0)


def _measured(case: AcuityCase | None) -> Iterator[tuple[str, float]]:
    values = case.values if case else {}
    age = case.measured.age_years if case else None
    for name, (usual, low, high) in _VITALS.items():
        value = values.get(name, usual)
        low, high = _range(name, age, low, high)
        yield name, value
        yield f"{name}_missing", float(name not in values)
        yield f"{name}_low", max(0.0, low - value) / (high - low) if name in values else 0.0
        yield f"{name}_high", max(0.0, value - high) / (high - low) if name in values else 0.0
    heart, pressure = values.get("heart_rate", 80.0), values.get("systolic_bp", 130.0)
    yield "shock_index", heart / pressure
    yield "vitals_missing", float(sum(name not in values for name in _VITALS))
    yield (
        "vitals_said_normal",
        float(case is not None and any(words in case.note for words in _VITALS_NORMAL)),
    )
    pain = values.get("pain_score")
    stated = case.request.pain if case else None
    yield "pain", float(stated if stated is not None else pain is not None and pain > 0)
    yield "pain_score", 0.0 if pain is None else pain
    yield "pain_score_missing", float(pain is None)
    yield "pain_severe", float(pain is not None and pain >= 7)
    level = case.measured.consciousness if case else None
    yield "consciousness", float(_CONSCIOUSNESS[level]) if level else 0.0
    yield "sirs", _sirs(values.get("temperature_c"), heart, values.get("respiratory_rate", 16.0))
    yield "pressure_very_high", float(pressure >= 200 or values.get("diastolic_bp", 0) >= 110)


def _range(name: str, age: float | None, low: float, high: float) -> tuple[float, float]:
    if age is None or name not in ("heart_rate", "respiratory_rate"):
        return low, high
    for limit, heart, breath in _CHILD_RATES:
        if age < limit:
            return heart if name == "heart_rate" else breath
    return low, high


def _sirs(temperature: float | None, heart: float, breath: float) -> float:
    """Signs of systemic inflammation among temperature, pulse and breathing (0-3)."""
    odd = temperature is not None and not 36.0 <= temperature <= 38.0
    return float(odd) + float(heart > 90) + float(breath > 20)


def _warnings(case: AcuityCase | None) -> Iterator[tuple[str, float]]:
    fired = case.verdict.fired if case else ()
    yield "rule_disposition", float((case.verdict.disposition or 4) if case else 4)
    for level in (1, 2, 3):
        yield f"red_flags_{level}", float(sum(r.disposition == level for r in fired))
    yield "news2", _total(case.news2 if case else None)
    yield "mews", _total(case.mews if case else None)
    yield "qsofa", _total(case.qsofa if case else None)
    yield "china_level", float((case.china.level or 4) if case else 4)
    yield "danger_vitals", float(len(case.danger.because) if case else 0)
    seen = case.case.facts.observations.values() if case else ()
    now = [o for o in seen if o.status == "present"]
    yield "findings", float(len(now))
    yield "denied", float(sum(o.status == "absent" for o in seen))
    yield "sudden", float(any(o.sudden for o in now))
    yield "severe", float(any(o.severity is Severity.severe for o in now))
    hours = [o.duration_hours for o in now if o.duration_hours is not None]
    yield "recent", float(bool(hours) and min(hours) <= 24)
    yield "history", float(len(case.case.facts.history) if case else 0)
    presents = case.presents if case else ()
    ill = [p for p in presents if p.id != "looks_well"]
    yield "presentations", float(len(ill))
    yield "usual_level", float(min((p.usual for p in ill), default=4))
    yield "usual_level_mean", float(np.mean([p.usual for p in ill])) if ill else 4.0
    yield "resources", float(min(resources_of(ill), 4))
    yield "most_resources", float(max((resources_of([p]) for p in ill), default=0))


def _total(result: ScoreResult | None) -> float:
    return float((result.total or 0) if result else 0)
