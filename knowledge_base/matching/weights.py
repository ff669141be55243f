"""The weights by specialty, from weights.yaml, which says how a feature becomes a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from knowledge_base.language import Bilingual
from knowledge_base.lexicon.departments import taxonomy
from knowledge_base.rules.ruleset import Source
from knowledge_base.yaml_files import read_yaml

FILE = Path(__file__).with_name("weights.yaml")
DEFAULT = "default"
TOLERANCE = 1e-6
"""How far from 1 a sum of weights may lie: rounding, nothing more."""

FeatureName = Literal[
    "surgery_volume_3y", "visits_3y", "rating", "response_minutes", "free_share", "continuity"
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Feature(_Strict):
    """How one figure of a doctor becomes a number from 0 to 1."""

    kind: Literal["standing", "share"]
    better: Literal["higher", "lower"]
    step: float | None = Field(default=None, gt=0)
    zh: str
    en: str

    @property
    def name(self) -> Bilingual:
        """What it is called."""
        return {"zh": self.zh, "en": self.en}

    @model_validator(mode="after")
    def _step_where_ranked(self) -> Feature:
        if (self.kind == "standing") != (self.step is not None):
            raise ValueError("a standing needs a step, a share has none")
        return self


def check_weights(weights: Mapping[FeatureName, float]) -> Mapping[FeatureName, float]:
    """The weights, if they are at least 0 and sum to 1; raises ValueError."""
    if not weights or any(not math.isfinite(w) or w < 0 for w in weights.values()):
        raise ValueError("weights are finite and at least 0")
    if abs(sum(weights.values()) - 1) > TOLERANCE:
        raise ValueError("weights sum to 1")
    return weights


class Specialty(_Strict):
    """The weights of one specialty and why they are so."""

    weights: dict[FeatureName, float]
    basis: Literal["given", "own"]
    why: Bilingual
    sources: tuple[str, ...]

    @model_validator(mode="after")
    def _sound(self) -> Specialty:
        check_weights(self.weights)
        return self


class Weighting(_Strict):
    """The whole file."""

    version: int
    features: dict[FeatureName, Feature]
    rating_prior_count: float = Field(gt=0)
    specialties: dict[str, Specialty]
    sources: dict[str, Source]

    @model_validator(mode="after")
    def _complete(self) -> Weighting:
        known = taxonomy()
        if DEFAULT not in self.specialties:
            raise ValueError("there is no default specialty")
        departments = {DEFAULT} | known.parents.keys() | known.departments.keys()
        if strange := self.specialties.keys() - departments:
            raise ValueError(f"departments.yaml lacks {sorted(strange)}")
        for code, specialty in self.specialties.items():
            if not specialty.weights.keys() <= self.features.keys():
                raise ValueError(f"{code} weighs a feature that is not described")
            if not set(specialty.sources) <= self.sources.keys():
                raise ValueError(f"{code} cites a source that is not listed")
        return self

    def specialty_of(self, department: str) -> str:
        """Whose weights a level-2 department goes by: its own, its parent's or the default."""
        parent = taxonomy().departments[department].parent
        return next(
            (code for code in (department, parent) if code in self.specialties),
            DEFAULT,
        )


@lru_cache(maxsize=1)
def weighting() -> Weighting:
    """The shipped weights, read once."""
    return Weighting.model_validate(read_yaml(FILE))
