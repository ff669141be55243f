"""Guideline cards: bilingual Markdown with front matter, read into sections of citable bullets.

A card is `content/cards/ID.md`. Every bullet is a passage of its own, cited as
`ID#section:n` (n counts from 1), the same number in both languages.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowledge_base.language import Language
from knowledge_base.yaml_files import ContentError

FOLDER = Path(__file__).parent / "content" / "cards"

Section = Literal[
    "when_to_worry", "ask", "examine", "first_steps", "refer", "self_care", "follow_up"
]
SECTIONS: tuple[Section, ...] = get_args(Section)
SECTION_NAMES: Mapping[Section, Mapping[Language, str]] = {
    "when_to_worry": {"zh": "何时警惕", "en": "When to worry"},
    "ask": {"zh": "问什么", "en": "Ask"},
    "examine": {"zh": "查什么", "en": "Examine"},
    "first_steps": {"zh": "初步处理", "en": "First steps"},
    "refer": {"zh": "转诊", "en": "Refer"},
    "self_care": {"zh": "自我照护", "en": "Self-care"},
    "follow_up": {"zh": "随访", "en": "Follow-up"},
}
FOR_PATIENTS: frozenset[Section] = frozenset({"when_to_worry", "self_care"})
"""Sections written for patients; the others speak to clinicians."""

_SOURCES = re.compile(r"\s*(?:\[[a-z0-9]+\]\s*)+$")
_MARK = re.compile(r"\[([a-z0-9]+)\]")


class CardSource(BaseModel):
    """A published document; `checked` says that its existence was looked up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    organisation: str
    title: str
    year: int = Field(ge=1950, le=2100)
    identifier: str = Field(min_length=2)
    checked: bool


class FrontMatter(BaseModel):
    """The head of a card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: int = Field(ge=1)
    title: dict[Language, str]
    topics: tuple[str, ...] = Field(min_length=1)
    departments: tuple[str, ...] = Field(min_length=1)
    findings: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    audience: Literal["patient", "physician", "both"]
    grade: Literal["guideline", "consensus", "textbook"]
    sources: tuple[CardSource, ...] = Field(min_length=1)
    reviewed_by: str | None
    checked: bool


@dataclass(frozen=True)
class Passage:
    """One bullet in one language, with the sources that it names; `line` of its file, from 1."""

    card: str
    section: Section
    number: int
    language: Language
    text: str
    sources: tuple[str, ...]
    line: int

    @property
    def id(self) -> str:
        """`CARD#section:n`, the same in both languages."""
        return f"{self.card}#{self.section}:{self.number}"


@dataclass(frozen=True)
class Card:
    """A guideline card: its front matter and its passages."""

    head: FrontMatter
    passages: tuple[Passage, ...]

    def section(self, section: Section, language: Language) -> tuple[Passage, ...]:
        """The passages of one section in one language."""
        return tuple(p for p in self.passages if (p.section, p.language) == (section, language))

    def passage(self, passage_id: str, language: Language) -> Passage | None:
        """A passage by its id; None where there is none."""
        wanted = (passage_id, language)
        return next((p for p in self.passages if (p.id, p.language) == wanted), None)

    def sources_of(self, passage: Passage) -> tuple[CardSource, ...]:
        """The documents behind a passage."""
        return tuple(s for s in self.head.sources if s.id in passage.sources)


def parse_card(text: str, name: str) -> Card:
    """A card from its Markdown; raises ContentError saying what is missing where."""
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise ContentError(f"{name}: no front matter")
    try:
        head = FrontMatter.model_validate(yaml.safe_load(parts[1]))
    except (ValidationError, yaml.YAMLError) as error:
        raise ContentError(f"{name}: {error}") from error
    if set(head.title) != {"zh", "en"}:
        raise ContentError(f"{name}: a title in both languages is needed")
    before = text.count("\n", 0, len(text) - len(parts[2]))
    passages = tuple(_passages(head, parts[2], name, before))
    known = {s.id for s in head.sources}
    for passage in passages:
        if not passage.sources or not set(passage.sources) <= known:
            raise ContentError(f"{name}: {passage.id} cites no source of the card")
    for section in SECTIONS:
        zh, en = (
            sum((p.section, p.language) == (section, language) for p in passages)
            for language in ("zh", "en")
        )
        if zh == 0 or zh != en:
            raise ContentError(f"{name}: {section} has {zh} Chinese and {en} English passages")
    return Card(head, passages)


def _passages(head: FrontMatter, body: str, name: str, before: int) -> Iterator[Passage]:
    """Every bullet of the body, which comes after `before` lines."""
    section: Section | None = None
    language: Language | None = None
    number = 0
    for at, raw in enumerate(body.split("\n"), before + 1):
        line = raw.strip()
        if line.startswith("### "):
            found = line[4:].strip()
            if found not in ("zh", "en"):
                raise ContentError(f"{name}: unknown language {found}")
            language, number = ("zh" if found == "zh" else "en"), 0
        elif line.startswith("## "):
            section = next((s for s in SECTIONS if s == line[3:].strip()), None)
            if section is None:
                raise ContentError(f"{name}: unknown section {line}")
        elif line.startswith("- "):
            if section is None or language is None:
                raise ContentError(f"{name}: a bullet before its section")
            number += 1
            marks = _SOURCES.search(line)
            yield Passage(
                head.id,
                section,
                number,
                language,
                _SOURCES.sub("", line[2:]).strip(),
                tuple(_MARK.findall(marks.group())) if marks else (),
                at,
            )
        elif line:
            raise ContentError(f"{name}: only headings and bullets are allowed: {line:.60}")


def read_cards(folder: Path = FOLDER) -> dict[str, Card]:
    """Every card by id; raises ContentError for the first bad one."""
    cards = {}
    for path in sorted(folder.glob("*.md")):
        card = parse_card(path.read_text(encoding="utf-8"), path.name)
        if card.head.id != path.stem:
            raise ContentError(f"{path.name}: id {card.head.id} differs from the file's name")
        cards[card.head.id] = card
    return cards


def cards_version(listed: Mapping[str, Card]) -> str:
    """A name of what cards say: an edit without a new number is a new version too."""
    digest = hashlib.sha256()
    for card_id in sorted(listed):
        card = listed[card_id]
        digest.update(card.head.model_dump_json().encode())
        for p in card.passages:
            digest.update(f"{p.id}\0{p.language}\0{p.text}\0{p.sources}\0".encode())
    return f"{len(listed)}-{digest.hexdigest()[:12]}"


@lru_cache(maxsize=1)
def cards() -> dict[str, Card]:
    """The shipped cards, read once."""
    return read_cards()
