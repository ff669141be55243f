"""Presentations: what people come to an emergency department with, from acuity/presentations.yaml.

Recognises them in a triage note by findings that the caller has read and by words that the lexicon
does not know. It decides no level: usual levels and resources are features of the acuity model.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowledge_base.language import Bilingual
from knowledge_base.rules.ruleset import FOLDER, read_sources, require_sources
from knowledge_base.yaml_files import ContentError, read_yaml

ACUITY = FOLDER / "acuity"
RESOURCES: dict[str, int] = {
    "lab": 1, "ecg": 1, "x_ray": 1, "imaging": 1, "iv_fluid": 1, "injection": 1,
    "nebuliser": 1, "specialist": 1, "procedure": 1, "complex_procedure": 2,
}  # fmt: skip
"""How many resources a kind counts (ESI handbook: a complex procedure counts two)."""
_DENIED = re.compile(
    r"(?:\bno|\bnot|\bdenies|\bdenied|\bden(?:y|ying)|\bwithout|\bnegative for|n't)\b[^.;]{0,60}$"
)
_DENIED_ZH = re.compile(r"(?:没有|没|无|未|否认|不)[^，,。；;]{0,8}$")


class Words(BaseModel):
    """English words and phrases, `*` for any ending, and runs of Chinese characters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    en: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()


class Presentation(BaseModel):
    """One presentation; see the head of the file for what the fields mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z][a-z_]*$")
    name: Bilingual
    usual: int = Field(ge=1, le=5)
    resources: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    words: Words = Words()


@dataclass(frozen=True)
class Presentations:
    """All presentations and the abbreviations of triage notes."""

    listed: tuple[Presentation, ...]
    abbreviations: Mapping[str, str]
    version: str
    _words: Mapping[str, re.Pattern[str]]

    def spelled_out(self, note: str) -> str:
        """A short note with abbreviations written out and "pain, chest" turned round.

        Prose is left as it is.
        """
        if len(note.split()) > _SHORT:
            return note
        words = " ".join(self.abbreviations.get(w, w) for w in note.lower().split())
        head, comma, tail = words.partition(",")
        return f"{tail.strip()} {head.strip()}" if comma and "," not in tail else words

    def recognise(self, note: str, present: Collection[str]) -> tuple[Presentation, ...]:
        """Presentations in a normalised note whose findings `present` are known, in file order."""
        codes = frozenset(present)
        return tuple(p for p in self.listed if codes & set(p.findings) or self._said(p.id, note))

    def _said(self, presentation: str, note: str) -> bool:
        pattern = self._words.get(presentation)
        if pattern is None:
            return False
        return any(
            not _DENIED.search(note[max(0, m.start() - 80) : m.start()])
            and not _DENIED_ZH.search(note[max(0, m.start() - 12) : m.start()])
            for m in pattern.finditer(note)
        )


_SHORT = 6
"""Words up to which a note is an entry of a list like "pain, chest", not prose."""


def resources_of(found: Collection[Presentation]) -> int:
    """How many different resources these presentations usually need together."""
    return sum(RESOURCES[kind] for kind in {r for p in found for r in p.resources})


def read_presentations(folder: Path = ACUITY) -> Presentations:
    """Read `presentations.yaml` and `abbreviations.yaml`; raises ContentError."""
    data = read_yaml(folder / "presentations.yaml")
    entries, named = data["presentations"], data["sources"]
    if not isinstance(entries, list) or not isinstance(named, list):
        raise ContentError("presentations.yaml: presentations and sources must be lists")
    require_sources("presentations.yaml", named, read_sources(folder.parent))
    try:
        listed = tuple(map(Presentation.model_validate, entries))
    except ValidationError as error:
        raise ContentError(f"presentations.yaml: {error}") from error
    for one in listed:
        unknown = set(one.resources) - RESOURCES.keys()
        if unknown:
            raise ContentError(f"presentations.yaml: {one.id}: no resource {unknown.pop()}")
    short = read_yaml(folder / "abbreviations.yaml")["abbreviations"]
    if not isinstance(short, dict):
        raise ContentError("abbreviations.yaml: abbreviations must be a mapping")
    return Presentations(
        listed,
        {str(key): str(value) for key, value in short.items()},
        f"{len(listed)}-{data['version']}",
        {p.id: _pattern(p.words) for p in listed if p.words.en or p.words.zh},
    )


def _pattern(words: Words) -> re.Pattern[str]:
    english = [
        r"(?<![a-z])"
        + re.escape(w.lower().removesuffix("*"))
        + ("" if w.endswith("*") else r"(?![a-z])")
        for w in words.en
    ]
    return re.compile("|".join([*english, *map(re.escape, words.zh)]))


@lru_cache(maxsize=1)
def presentations() -> Presentations:
    """The shipped presentations, read once."""
    return read_presentations()
