"""The interview's wording: one plain question per finding, in both languages."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from knowledge_base.yaml_files import read_yaml

FILE = Path(__file__).parent / "questions.yaml"


class Wording(BaseModel):
    """A question that is answered with yes, no or not sure."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zh: str = Field(pattern="？$")
    en: str = Field(pattern=r"\?$")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    questions: dict[str, Wording]


@lru_cache(maxsize=1)
def questions() -> dict[str, Wording]:
    """Wordings by finding code, read once.

    Every finding of a red-flag rule that a patient can be asked for has one.
    """
    return _File.model_validate(read_yaml(FILE)).questions
