"""Where a document comes from, under which licence, and who may read it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from knowledge_base.yaml_files import ContentError, read_yaml

Audience = Literal["patient", "physician", "both"]
Access = Literal["public", "staff"]
Grade = Literal["guideline", "consensus", "review", "textbook", "information", "unstated"]

FILE = Path(__file__).parent / "licences.yaml"
_PUNCTUATION = re.compile(r"[\s\-_.]+")


class Licence(BaseModel):
    """See licences.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zh: str
    en: str
    serve: bool
    commercial: Literal["allowed", "forbidden", "unknown"]
    also: tuple[str, ...] = ()


class Origin(BaseModel):
    """A document's publisher, date, licence and readers.

    access: `staff` hides its passages from patients; so does a licence that is not known.
    year: of publication; `published` an exact date where known. Of contradicting passages the
    newest is shown first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    organisation: str = Field(default="", max_length=300)
    title: str = Field(default="", max_length=500)
    year: int | None = Field(default=None, ge=1800, le=2100)
    published: date | None = None
    identifier: str = Field(default="", max_length=300)
    licence: str = "unknown"
    access: Access = "public"
    audience: Audience = "physician"
    departments: tuple[str, ...] = ()
    grade: Grade = "unstated"

    @field_validator("licence", mode="before")
    @classmethod
    def _known_licence(cls, value: object) -> str:
        return licence_code(str(value or ""))

    @model_validator(mode="after")
    def _one_date(self) -> Origin:
        if self.published is not None and self.year not in (None, self.published.year):
            raise ValueError(f"published {self.published}, but year {self.year}")
        return self

    @property
    def terms(self) -> Licence:
        """What its licence lets us do."""
        return licences()[self.licence]

    @property
    def for_patients(self) -> bool:
        """Whether patients may be shown its passages."""
        stated = self.licence != "unknown"
        return stated and self.access == "public" and self.audience != "physician"

    @property
    def newest(self) -> int:
        """The year of publication as a number to sort by; 0 where it is not known."""
        return self.published.year if self.published else self.year or 0


@lru_cache(maxsize=1)
def licences() -> Mapping[str, Licence]:
    """Every licence by its code."""
    return {code: Licence.model_validate(entry) for code, entry in read_yaml(FILE).items()}


def licence_code(name: str) -> str:
    """The code of a licence by any of its spellings; ValueError for one that is not listed.

    A licence that nobody has read must not be taken for one that allows.
    """
    wanted = _folded(name)
    for code, licence in licences().items():
        if wanted in (_folded(code), *map(_folded, licence.also)):
            return code
    raise ValueError(f"licence {name!r} is not known; one of {', '.join(licences())}")


def _folded(name: str) -> str:
    return _PUNCTUATION.sub("", name.lower())


class Catalogue(BaseModel):
    """`sources.yaml` beside documents: what holds for all, and for files by pattern.

    Patterns are matched against the path relative to the folder; all that match apply, in order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    defaults: dict[str, object] = Field(default_factory=dict)
    files: dict[str, dict[str, object]] = Field(default_factory=dict)

    def origin(self, path: Path, given: Mapping[str, object]) -> Origin:
        """The origin of a file; what the caller gives comes first. Raises ValidationError."""
        found = dict(self.defaults)
        for pattern, entry in self.files.items():
            if path.match(pattern):
                found |= entry
        return Origin.model_validate(found | dict(given))


def read_catalogue(folder: Path) -> Catalogue:
    """The folder's `sources.yaml`; an empty catalogue without one. Raises ContentError."""
    path = folder / "sources.yaml"
    if not path.is_file():
        return Catalogue()
    try:
        return Catalogue.model_validate(read_yaml(path))
    except ValueError as error:
        raise ContentError(f"{path.name}: {error}") from error
