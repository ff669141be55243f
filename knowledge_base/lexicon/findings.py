"""The finding lexicon: concepts with Chinese and English names, synonyms and HPO codes.

Files in `findings/*.yaml`, one per body system, are the data. This module reads and
validates them; it knows nothing of text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowledge_base.yaml_files import ContentError, read_yaml

FOLDER = Path(__file__).parent / "findings"

Kind = Literal["symptom", "sign", "condition", "medicine", "event", "exposure", "state", "request"]
HISTORY: frozenset[Kind] = frozenset({"condition", "medicine"})
"""What is named as part of a person's history: it is true beyond the complaint of today."""
COMPLAINTS: frozenset[Kind] = frozenset({"symptom", "sign", "event", "exposure"})
"""What somebody is ill with today; the rest is what it is told against."""


class Concept(BaseModel):
    """One finding concept.

    `implies` names broader concepts that hold whenever this one does; `negative_of` the one
    that is denied by it (alert denies reduced_consciousness); `acute` the event that it is while it
    happens (a heart attack that somebody is having, and not one of years ago).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: Kind
    zh: str
    en: str
    hpo: str | None = Field(default=None, pattern=r"^HP:\d{7}$")
    synonyms_zh: tuple[str, ...] = ()
    synonyms_en: tuple[str, ...] = ()
    abbreviations: tuple[str, ...] = ()
    implies: tuple[str, ...] = ()
    negative_of: str | None = None
    acute: str | None = None

    @property
    def names_zh(self) -> tuple[str, ...]:
        """The Chinese name and its synonyms."""
        return (self.zh, *self.synonyms_zh)

    @property
    def names_en(self) -> tuple[str, ...]:
        """The English name and its synonyms."""
        return (self.en, *self.synonyms_en)


class Lexicon(Mapping[str, Concept]):
    """All concepts by code, with the closure of `implies`."""

    def __init__(self, concepts: dict[str, Concept], version: str) -> None:
        self._concepts = concepts
        self.version = version
        self._broader = {code: self._closure(code) for code in concepts}
        self._narrower: dict[str, set[str]] = {code: set() for code in concepts}
        for code, broader in self._broader.items():
            for parent in broader:
                self._narrower[parent].add(code)

    def __getitem__(self, code: str) -> Concept:
        return self._concepts[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self._concepts)

    def __len__(self) -> int:
        return len(self._concepts)

    def implied(self, code: str) -> frozenset[str]:
        """Every broader concept that holds when `code` does; empty for an unknown code."""
        return self._broader.get(code, frozenset())

    def narrower(self, code: str) -> frozenset[str]:
        """Every concept that implies `code`."""
        return frozenset(self._narrower.get(code, ()))

    def _closure(self, code: str) -> frozenset[str]:
        found: set[str] = set()
        frontier = [code]
        while frontier:
            for broader in self._concepts[frontier.pop()].implies:
                if broader not in self._concepts:
                    raise ContentError(f"{code} implies unknown {broader}")
                if broader not in found and broader != code:
                    found.add(broader)
                    frontier.append(broader)
        return frozenset(found)


def read_lexicon(folder: Path = FOLDER) -> Lexicon:
    """Read every file; raises ContentError for a bad entry, a twin code or a dangling link."""
    concepts: dict[str, Concept] = {}
    for path in sorted(folder.glob("*.yaml")):
        data = read_yaml(path)
        entries = data["findings"]
        if not isinstance(entries, list):
            raise ContentError(f"{path.name}: findings must be a list")
        for entry in entries:
            try:
                concept = Concept.model_validate(entry)
            except ValidationError as error:
                raise ContentError(f"{path.name}: {error}") from error
            if concept.code in concepts:
                raise ContentError(f"{path.name}: {concept.code} is defined twice")
            concepts[concept.code] = concept
    for concept in concepts.values():
        if concept.acute is not None and concept.acute not in concepts:
            raise ContentError(f"{concept.code} names unknown {concept.acute}")
    digest = hashlib.sha256()
    for code in sorted(concepts):
        digest.update(concepts[code].model_dump_json().encode())
    return Lexicon(concepts, version=f"{len(concepts)}-{digest.hexdigest()[:12]}")


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The shipped lexicon, read once."""
    return read_lexicon()
