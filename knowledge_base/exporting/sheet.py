"""What an exported card holds in one language, whatever the format."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import TypeAdapter

from knowledge_base.cards import SECTION_NAMES, SECTIONS, Card, CardSource
from knowledge_base.language import Language
from knowledge_base.yaml_files import read_yaml

_WORDS = Path(__file__).with_name("words.yaml")


@dataclass(frozen=True, slots=True)
class Bullet:
    """A passage and the marks of its sources, `[s1][s2]`."""

    text: str
    marks: str


@dataclass(frozen=True, slots=True)
class Part:
    """A section under its name."""

    heading: str
    bullets: tuple[Bullet, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A source under its mark, in one line."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """status: who reviewed the card, or that nobody did; footer: which card in which version."""

    language: Language
    title: str
    status: str
    parts: tuple[Part, ...]
    sources_heading: str
    references: tuple[Reference, ...]
    footer: str


def sheet(card: Card, language: Language) -> Sheet:
    """A card in one language, its sections in the order in which it is worked with."""
    head = card.head
    words = {key: entry[language] for key, entry in _words().items()}
    reviewed = head.checked and head.reviewed_by
    status = words["reviewed"].format(name=head.reviewed_by) if reviewed else words["not_reviewed"]
    newest = words["newest"].format(year=newest_year(card))
    return Sheet(
        language,
        head.title[language],
        f"{status} · {newest}",
        tuple(
            Part(
                SECTION_NAMES[section][language],
                tuple(
                    Bullet(p.text, "".join(f"[{source}]" for source in p.sources))
                    for p in card.section(section, language)
                ),
            )
            for section in SECTIONS
        ),
        words["sources"],
        tuple(Reference(f"[{s.id}]", _reference(s, words["not_looked_up"])) for s in head.sources),
        words["footer"].format(id=head.id, version=head.version),
    )


def newest_year(card: Card) -> int:
    """The year of the card's newest source."""
    return max(source.year for source in card.head.sources)


def _reference(source: CardSource, not_looked_up: str) -> str:
    told = f"{source.organisation}. {source.title}. {source.year}. {source.identifier}"
    return told if source.checked else f"{told} ({not_looked_up})"


@lru_cache(maxsize=1)
def _words() -> dict[str, dict[Language, str]]:
    return TypeAdapter(dict[str, dict[Language, str]]).validate_python(read_yaml(_WORDS))
