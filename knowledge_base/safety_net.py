"""Safety-netting texts: when to come back, and the words for a patient's list for the doctor.

Relies on `content/safety_net.yaml`, the rules' sources and the guideline cards. Every sentence
about coming back names its document. It holds no finding and no decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowledge_base.cards import Card, CardSource, cards
from knowledge_base.language import Language
from knowledge_base.rules.conditions import finding_truth
from knowledge_base.rules.facts import Facts
from knowledge_base.rules.ruleset import Source, rules
from knowledge_base.yaml_files import ContentError, read_yaml

FILE = Path(__file__).parent / "content" / "safety_net.yaml"

Text = dict[Language, str]

_ADULT = 30.0


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _OfLevel(_Data):
    zh: str
    en: str
    signs: bool | None = None
    sources: tuple[str, ...] = Field(min_length=1)


class _Limit(_Data):
    findings: tuple[str, ...] = Field(min_length=1)
    min_age: float = 0.0
    max_age: float = float("inf")
    basis: str
    zh: str
    en: str


class _ComeBack(_Data):
    levels: dict[int, tuple[_OfLevel, ...]]
    limits: tuple[_Limit, ...]


class Words(_Data):
    """Bilingual pieces of the list for the doctor, with {list}, {name}, {time} or {n} to fill."""

    symptoms: Text
    denied: Text
    known: Text
    past: Text
    family: Text
    values: Text
    person: Text
    comma: Text
    detail: Text
    lasting: Text
    severity: dict[str, Text]
    onset: dict[str, Text]
    course: dict[str, Text]
    side: dict[str, Text]
    side_of: dict[str, Text]
    minutes: Text
    hours: Text
    days: Text
    weeks: Text
    months_old: Text
    years_old: Text
    pregnant: Text
    postpartum: Text
    quantities: dict[str, Text]


class _File(_Data):
    version: int
    checked: bool
    come_back: _ComeBack
    words: Words


class Advice(_Data):
    """One sentence in both languages with the documents behind it, and the passage that says it."""

    text: Text
    sources: tuple[Source, ...] = Field(min_length=1)
    passage: str | None = None


class TimeLimit(Advice):
    """How long a complaint may last, for one of `findings` and ages in years [min, max)."""

    findings: frozenset[str]
    min_age: float
    max_age: float

    def concerns(self, facts: Facts) -> bool:
        """Whether it is for this patient; an adult where no age is known."""
        age = _ADULT if facts.age_years is None else facts.age_years
        has = any(finding_truth(facts, code) is True for code in self.findings)
        return has and self.min_age <= age < self.max_age


class LevelAdvice(Advice):
    """For an urgency. `signs`: only where warning signs are listed (or are not); None: always."""

    signs: bool | None


class SafetyNet(_Data):
    """Sentences by level, time limits of complaints, and the words of the list."""

    levels: dict[int, tuple[LevelAdvice, ...]]
    limits: tuple[TimeLimit, ...]
    words: Words


def read_safety_net(
    path: Path, sources: Mapping[str, Source], guideline_cards: Mapping[str, Card]
) -> SafetyNet:
    """The file with its references resolved; raises ContentError for one that leads nowhere."""
    try:
        data = _File.model_validate(read_yaml(path))
        levels = {
            level: tuple(
                LevelAdvice(
                    text={"zh": s.zh, "en": s.en},
                    sources=tuple(sources[k] for k in s.sources),
                    signs=s.signs,
                )
                for s in sentences
            )
            for level, sentences in data.come_back.levels.items()
        }
    except (ValidationError, KeyError) as error:
        raise ContentError(f"{path.name}: {error}") from error
    limits = tuple(
        TimeLimit(
            text={"zh": limit.zh, "en": limit.en},
            sources=_behind(limit.basis, guideline_cards, path.name),
            passage=limit.basis,
            findings=frozenset(limit.findings),
            min_age=limit.min_age,
            max_age=limit.max_age,
        )
        for limit in data.come_back.limits
    )
    return SafetyNet(levels=levels, limits=limits, words=data.words)


def _behind(basis: str, guideline_cards: Mapping[str, Card], file: str) -> tuple[Source, ...]:
    card = guideline_cards.get(basis.partition("#")[0])
    for passage in () if card is None else card.passages:
        if card is not None and passage.id == basis:
            return tuple(map(_as_source, card.sources_of(passage)))
    raise ContentError(f"{file}: no passage {basis}")


def _as_source(source: CardSource) -> Source:
    return Source.model_validate(source.model_dump(exclude={"id"}))


@lru_cache(maxsize=1)
def safety_net() -> SafetyNet:
    """The shipped texts, read once; documents are those that the shipped rules cite."""
    named = {
        key: source
        for rule in rules().by_id.values()
        for key, source in zip(rule.text.sources, rule.sources, strict=True)
    }
    return read_safety_net(FILE, named, cards())
