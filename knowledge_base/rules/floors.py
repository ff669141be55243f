"""Floors of acuity: the levels below which no learned model may answer, from acuity/floors.yaml.

Each is a conjunction over facts, scores, national levels, presentations and red flags. A floor
raises and never lowers; what is unknown raises nothing by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from knowledge_base.language import Bilingual
from knowledge_base.rules.conditions import Condition, parse_condition
from knowledge_base.rules.facts import Facts
from knowledge_base.rules.presentations import ACUITY
from knowledge_base.rules.ruleset import read_sources, require_sources
from knowledge_base.yaml_files import ContentError, read_yaml


class FloorText(BaseModel):
    """One floor as its file says it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    level: dict[str, int]
    facts: dict[str, object] | None = None
    score: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    china: tuple[int, ...] = ()
    presents: tuple[str, ...] = ()
    red_flag: int | None = Field(default=None, ge=1, le=3)
    nothing_measured: bool = False
    rationale: Bilingual
    sources: tuple[str, ...] = Field(min_length=1)
    checked: bool


@dataclass(frozen=True)
class Signs:
    """What floors look at: `bands` maps a score's id to the code of its band."""

    facts: Facts
    bands: Mapping[str, str]
    china: int | None
    presents: Collection[str]
    red_flag: int | None
    nothing_measured: bool


@dataclass(frozen=True)
class Floor:
    """A parsed floor."""

    text: FloorText
    condition: Condition | None

    def holds(self, signs: Signs) -> bool:
        """Whether every condition is known to hold."""
        text = self.text
        if self.condition is not None and self.condition.evaluate(signs.facts) is not True:
            return False
        if any(signs.bands.get(score) not in bands for score, bands in text.score.items()):
            return False
        if text.china and signs.china not in text.china:
            return False
        if text.presents and not set(text.presents) & set(signs.presents):
            return False
        if text.red_flag is not None and (signs.red_flag or _NONE) > text.red_flag:
            return False
        return signs.nothing_measured or not text.nothing_measured


_NONE = 9


def read_floors(folder: Path = ACUITY) -> tuple[Floor, ...]:
    """Read `floors.yaml`; raises ContentError naming the entry."""
    entries = read_yaml(folder / "floors.yaml")["floors"]
    if not isinstance(entries, list):
        raise ContentError("floors.yaml: floors must be a list")
    known = read_sources(folder.parent)
    found = []
    for entry in entries:
        try:
            text = FloorText.model_validate(entry)
            condition = None if text.facts is None else parse_condition(text.facts)
        except (ValueError, KeyError, TypeError) as error:
            raise ContentError(f"floors.yaml: {entry!r:.80}: {error}") from error
        require_sources(f"floors.yaml: {text.id}", text.sources, known)
        found.append(Floor(text, condition))
    return tuple(found)


@lru_cache(maxsize=1)
def floors() -> tuple[Floor, ...]:
    """The shipped floors, read once."""
    return read_floors()
