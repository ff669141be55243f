"""Bedside scores from measurements: NEWS2, qSOFA, MEWS, China's levels, ESI danger vitals.

The numbers are data in `scores/*.yaml`, each with its sources; this evaluates them. What was not
measured is reported: it adds no points, so the total is a lower bound, and a total with something
missing never says that all is well. A score refuses those whom it was not made for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowledge_base.language import Bilingual
from knowledge_base.rules.facts import Consciousness
from knowledge_base.rules.ruleset import FOLDER, Source, read_sources, require_sources
from knowledge_base.yaml_files import ContentError, read_yaml


@dataclass(frozen=True)
class Measurements:
    """What was measured in one patient; None and an absent key both mean "not measured".

    `values` as in `facts.Facts`, and potassium_mmol_l. `hypercapnic_failure` is a recorded
    diagnosis of hypercapnic respiratory failure: without one it is False.
    """

    age_years: float | None = None
    pregnant: bool | None = None
    consciousness: Consciousness | None = None
    on_oxygen: bool | None = None
    hypercapnic_failure: bool = False
    values: Mapping[str, float] = field(default_factory=dict)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Applies(_Strict):
    """Whom a score was made for; an unknown age is taken for an adult's and reported."""

    min_age_years: float = 0
    in_pregnancy: bool = True

    def refusal(self, patient: Measurements) -> str | None:
        """Why the score is not for this patient: `too_young` or `pregnant`."""
        if patient.age_years is not None and patient.age_years < self.min_age_years:
            return "too_young"
        return "pregnant" if patient.pregnant and not self.in_pregnancy else None


class Points(_Strict):
    """A band of one measurement: `points` up to and including `at_most`; without it, above all."""

    at_most: float | None = None
    points: int = Field(ge=0, le=3)


class Part(_Strict):
    """One measurement of a score."""

    name: str
    label: Bilingual
    decimals: int = 0
    bands: tuple[Points, ...] = ()
    hypercapnic_on_air: tuple[Points, ...] = ()
    hypercapnic_on_oxygen: tuple[Points, ...] = ()
    codes: dict[str, int] = Field(default_factory=dict)

    def points(self, patient: Measurements) -> int | None:
        """Points of this measurement; None where it was not taken."""
        if self.name == "consciousness":
            return None if patient.consciousness is None else self.codes[patient.consciousness]
        if self.name == "on_oxygen":
            return None if patient.on_oxygen is None else self.codes[_YES_NO[patient.on_oxygen]]
        value = patient.values.get(self.name)
        if value is None:
            return None
        rounded = round(value, self.decimals)
        for band in self._bands(patient):
            if band.at_most is None or rounded <= band.at_most:
                return band.points
        return None

    def _bands(self, patient: Measurements) -> tuple[Points, ...]:
        if not patient.hypercapnic_failure or not self.hypercapnic_on_air:
            return self.bands
        # Without word of oxygen the lower of the two counts; `on_oxygen` is reported as missing.
        return self.hypercapnic_on_oxygen if patient.on_oxygen else self.hypercapnic_on_air


class Band(_Strict):
    """What a total means. An `alarm` stands even where something is missing: it can only grow."""

    code: str
    at_least: int | None = None
    single: int | None = None
    alarm: bool = False
    minutes: int | None = None
    meaning: Bilingual


class Published(_Strict):
    """What a score and a grade both say of themselves."""

    id: str
    version: int = Field(ge=1)
    name: Bilingual
    sources: tuple[str, ...] = Field(min_length=1)
    checked: bool
    applies: Applies = Applies()


class Score(Published):
    """A sum of points, as its file says it."""

    parts: tuple[Part, ...]
    bands: tuple[Band, ...]

    def evaluate(self, patient: Measurements) -> ScoreResult:
        """The score of a patient, with what is missing."""
        refused = self.applies.refusal(patient)
        if refused is not None:
            return ScoreResult(self, refused=refused)
        given = {part.name: part.points(patient) for part in self.parts}
        points = {name: p for name, p in given.items() if p is not None}
        missing = tuple(name for name, p in given.items() if p is None)
        return ScoreResult(self, points=points, missing=missing)


@dataclass(frozen=True)
class ScoreResult:
    """Points by part. `refused` says why there is no score."""

    score: Score
    points: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    refused: str | None = None

    @property
    def total(self) -> int | None:
        """The sum: a lower bound where something is missing, None where nothing was measured."""
        return sum(self.points.values()) if self.points else None

    @property
    def complete(self) -> bool:
        """Every part was measured, and the score is for this patient."""
        return not self.missing and self.refused is None

    @property
    def band(self) -> Band | None:
        """What the total means; None where it would reassure with something missing."""
        total = self.total
        if total is None:
            return None
        for band in self.score.bands:
            reached = band.at_least is not None and total >= band.at_least
            single = band.single is not None and max(self.points.values()) >= band.single
            if reached or single:
                return band if self.complete or band.alarm else None
        return None


class Bound(_Strict):
    """One line of a grade: a measurement, its limits and the ages that it is for."""

    name: str
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    min_age_years: float = 0
    max_age_years: float = 200

    def holds(self, patient: Measurements) -> bool:
        """Whether the measurement was taken and lies beyond a limit; unknown ages are adults'."""
        value, age = patient.values.get(self.name), patient.age_years
        grown = _ADULT if age is None else age
        if value is None or not self.min_age_years <= grown < self.max_age_years:
            return False
        return (
            (self.above is not None and value > self.above)
            or (self.at_least is not None and value >= self.at_least)
            or (self.below is not None and value < self.below)
            or (self.at_most is not None and value <= self.at_most)
        )


class Line(_Strict):
    """A level and the lines of which any one is enough."""

    level: int = Field(ge=1, le=4)
    any: tuple[Bound, ...]


class Grade(Published):
    """A table of levels, the most urgent first."""

    levels: tuple[Line, ...]
    needs: tuple[str, ...]

    def evaluate(self, patient: Measurements) -> GradeResult:
        """The most urgent level of which a line holds, and the measurements that hold it."""
        missing = tuple(name for name in self.needs if name not in patient.values)
        refused = self.applies.refusal(patient)
        if refused is not None:
            return GradeResult(self, refused=refused)
        for line in self.levels:
            because = tuple(dict.fromkeys(b.name for b in line.any if b.holds(patient)))
            if because:
                return GradeResult(self, line.level, because, missing)
        return GradeResult(self, missing=missing)


@dataclass(frozen=True)
class GradeResult:
    """`level` None: no line holds, which says nothing while something is `missing`."""

    grade: Grade
    level: int | None = None
    because: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    refused: str | None = None


_YES_NO = {True: "yes", False: "no"}
_ADULT = 40.0


@dataclass(frozen=True)
class Scores:
    """The shipped scores and grades."""

    news2: Score
    qsofa: Score
    mews: Score
    china: Grade
    esi_danger: Grade
    sources: Mapping[str, Source]

    @property
    def version(self) -> str:
        """Id and version of each."""
        every = (self.news2, self.qsofa, self.mews, self.china, self.esi_danger)
        return ",".join(f"{one.id}-{one.version}" for one in every)


def read_scores(folder: Path = FOLDER) -> Scores:
    """Read `scores/*.yaml`; raises ContentError naming the file."""
    sources = read_sources(folder)

    def score(name: str) -> Score:
        return _checked(Score, folder / "scores" / f"{name}.yaml", sources)

    def grade(name: str) -> Grade:
        return _checked(Grade, folder / "scores" / f"{name}.yaml", sources)

    return Scores(
        score("news2"), score("qsofa"), score("mews"), grade("china"), grade("esi_danger"), sources
    )


ReadT = TypeVar("ReadT", Score, Grade)


def _checked(kind: type[ReadT], path: Path, sources: Mapping[str, Source]) -> ReadT:
    try:
        read = kind.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ContentError(f"{path.name}: {error}") from error
    require_sources(path.name, read.sources, sources)
    return read


@lru_cache(maxsize=1)
def scores() -> Scores:
    """The shipped scores, read once."""
    return read_scores()
