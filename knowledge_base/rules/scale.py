"""The disposition scale and its crosswalks, from scale.yaml."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from knowledge_base.language import Language
from knowledge_base.rules.ruleset import FOLDER
from knowledge_base.yaml_files import read_yaml


class Disposition(BaseModel):
    """One level: 1 ambulance, 2 emergency, 3 urgent, 4 routine, 5 self_care."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: int = Field(ge=1, le=5)
    code: Literal["ambulance", "emergency", "urgent", "routine", "self_care"]
    name: dict[Language, str]
    action: dict[Language, str]
    crosswalk: dict[str, str | int]


@lru_cache(maxsize=1)
def dispositions() -> dict[int, Disposition]:
    """The five levels, read once."""
    entries = read_yaml(FOLDER / "scale.yaml")["dispositions"]
    assert isinstance(entries, list)
    return {d.level: d for d in map(Disposition.model_validate, entries)}
