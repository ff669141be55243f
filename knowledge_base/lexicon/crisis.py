"""Crisis by parts: classes of cues and the patterns that they form, as data.

`crisis.yaml` is written for clinicians; this module validates it. It knows nothing of text.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from knowledge_base.yaml_files import ContentError, read_yaml

FILE = Path(__file__).parent / "crisis.yaml"


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Pattern(_Data):
    """Classes that together say `code`: in order, or in any, at most `gap` apart.

    `beside` is a class that must stand somewhere in the sentence too; `unless` are classes that
    make the phrase harmless there.
    """

    code: str
    parts: tuple[str, ...] = Field(min_length=1, max_length=3)
    gap: int = Field(ge=0, le=20)
    any_order: bool = False
    beside: str | None = Field(default=None, alias="with")
    unless: tuple[str, ...] = ()


class CrisisWords(_Data):
    """One language: cue classes and patterns."""

    words: dict[str, tuple[str, ...]]
    patterns: tuple[Pattern, ...]

    @model_validator(mode="after")
    def _named(self) -> CrisisWords:
        for pattern in self.patterns:
            used = {*pattern.parts, *pattern.unless, *filter(None, [pattern.beside])}
            if not used <= set(self.words):
                raise ValueError(f"{pattern.code}: unknown class {sorted(used - set(self.words))}")
        return self


class CrisisLexicon(_Data):
    """Both languages."""

    version: int
    zh: CrisisWords
    en: CrisisWords


@lru_cache(maxsize=1)
def crisis_lexicon(path: Path = FILE) -> CrisisLexicon:
    """The shipped patterns, read once; raises ContentError for a bad entry."""
    try:
        return CrisisLexicon.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ContentError(f"{path.name}: {error}") from error
