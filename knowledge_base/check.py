"""The content check: everything a clinician may edit, read and compared with everything else.

It answers with sentences, one per problem, each naming the file or the entry; an empty list
means that cards, lexicon, rules, acuity, routing and scale agree. It never raises for bad content.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from knowledge_base import cards as card_files
from knowledge_base.cards import Card, Passage, parse_card
from knowledge_base.check_acuity import acuity_problems
from knowledge_base.language import Language
from knowledge_base.lexicon import findings as lexicon_files
from knowledge_base.lexicon.confusables import confusables
from knowledge_base.lexicon.context import cues
from knowledge_base.lexicon.crisis import crisis_lexicon
from knowledge_base.lexicon.departments import crosswalks, taxonomy
from knowledge_base.lexicon.findings import Concept, read_lexicon
from knowledge_base.lexicon.grammar import grammar
from knowledge_base.lexicon.intents import intents
from knowledge_base.matching.vocabulary import vocabulary
from knowledge_base.matching.weights import weighting
from knowledge_base.matching.wording import wording
from knowledge_base.questions import FOLDER as QUESTIONS
from knowledge_base.questions import question_problems, read_questions
from knowledge_base.rules import ruleset as rule_files
from knowledge_base.rules.condition_faults import condition_faults
from knowledge_base.rules.ruleset import Rule, read_rules
from knowledge_base.rules.scale import Disposition
from knowledge_base.safety_net import safety_net
from knowledge_base.tokeniser import fold
from knowledge_base.yaml_files import ContentError, attempt, read_yaml

_LANGUAGES: tuple[Language, ...] = ("zh", "en")
_NUMBER = r"(?:\d|[一二两三四五六七八九十半]|\b(?:one|two|three|four|half an?)\b)"
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")
DOSES = (
    # A laboratory value (mg/dL, g/L) is not a dose; an amount per body weight always is.
    re.compile(r"\d\s*(?:mg|mcg|[µμ]g|ug|毫克|微克)(?!\s*/\s*(?:d?l|mol|mmol|g\b))", re.I),
    re.compile(
        r"(?:mg|mcg|[µμu]g|g|ml|units?|iu|毫克|微克|毫升|单位)\s*(?:/|每|per )\s*(?:kg|千克|公斤)",
        re.I,
    ),
    re.compile(rf"{_NUMBER}\s*(?:tablets?|pills?|capsules?|puffs?|drops?|sachets?)\b", re.I),
    re.compile(r"\d\s*(?:片|粒|丸|喷|揿|滴)"),
    # In words only after a verb or a rhythm: 一片红肿 is a rash.
    re.compile(
        r"(?:每[日天次晚]|[次服吃用含嚼吸喷滴取])[一二两三四五六七八九十半](?:片|粒|丸|喷|揿|滴)"
    ),
    re.compile(r"\d\s*(?:iu|international units?|国际单位)", re.I),
)
"""What looks like an amount of a medicine. Cards and rules name classes, never amounts."""


def check() -> list[str]:
    """Every problem of the shipped content; empty when it is sound."""
    problems: list[str] = []
    concepts = attempt(problems, "lexicon", read_lexicon)
    listed = read_all_cards(card_files.FOLDER, problems)
    rules = attempt(problems, "rules", read_rules)
    if concepts is not None:  # else every code would be reported as unknown
        problems += lexicon_problems(concepts)
        for card in listed.values():
            problems += card_problems(card, concepts, taxonomy().departments)
            problems += link_problems(card, listed)
            problems += _questions_of(card)
        for rule in rules.by_id.values() if rules is not None else ():
            problems += rule_problems(rule, concepts, listed)
        problems += acuity_problems(concepts)
    problems += _routing_problems()
    problems += _scale_problems()
    attempt(problems, "context.yaml", cues)
    attempt(problems, "crosswalks", crosswalks)
    attempt(problems, "intents.yaml", intents)
    attempt(problems, "sites.yaml and sensations.yaml", grammar)
    attempt(problems, "confusables.yaml", confusables)
    attempt(problems, "crisis.yaml", crisis_lexicon)
    attempt(problems, "safety_net.yaml", safety_net)
    attempt(problems, "matching/weights.yaml", weighting)
    attempt(problems, "matching/vocabulary.yaml", vocabulary)
    attempt(problems, "matching/wording.yaml", wording)
    return problems


def read_all_cards(folder: Path, problems: list[str]) -> dict[str, Card]:
    """Every card that can be read; the others become problems."""
    listed: dict[str, Card] = {}
    for path in sorted(folder.glob("*.md")):
        try:
            card = parse_card(path.read_text(encoding="utf-8"), path.name)
        except ContentError as error:
            problems.append(str(error))
            continue
        if card.head.id != path.stem:
            problems.append(f"{path.name}: id {card.head.id} differs from the file's name")
        listed[path.stem] = card
    return listed


def card_problems(
    card: Card, concepts: Collection[str], departments: Collection[str]
) -> Iterator[str]:
    """What is wrong with a card that parses."""
    head = card.head
    for language, title in head.title.items():
        if not title.strip():
            yield f"{head.id}: no {language} title"
    for code in head.departments:
        if code not in departments:
            yield f"{head.id}: department {code} is not in departments.yaml"
    for code in head.findings:
        if code not in concepts:
            yield f"{head.id}: finding {code} is not in the lexicon"
    yield from _twins(f"{head.id}: finding", head.findings)
    yield from _twins(f"{head.id}: source", [s.id for s in head.sources])
    for source in head.sources:
        if not (source.organisation.strip() and source.title.strip() and source.identifier.strip()):
            yield f"{head.id}: source {source.id} is incomplete"
    for unused in {s.id for s in head.sources} - {s for p in card.passages for s in p.sources}:
        yield f"{head.id}: no passage cites source {unused}"
    bullets: dict[str, dict[Language, Passage]] = {}
    for passage in card.passages:
        where = f"{passage.id} ({passage.language})"
        if not passage.text:
            yield f"{where} is empty"
        yield from _doses(where, passage.text)
        bullets.setdefault(passage.id, {})[passage.language] = passage
    for passage_id, both in bullets.items():
        if set(both["zh"].sources) != set(both["en"].sources):
            yield f"{passage_id}: the two languages cite different sources"
        zh, en = (sorted(map(float, _NUMBERS.findall(both[x].text))) for x in _LANGUAGES)
        if zh != en:
            yield f"{passage_id}: the two languages give different numbers: {zh} and {en}"


def link_problems(card: Card, listed: Collection[str]) -> Iterator[str]:
    """Related cards that are not there; `listed` are the ids of the cards."""
    for related in card.head.related:
        if related not in listed or related == card.head.id:
            yield f"{card.head.id}: related card {related} is not there"
    yield from _twins(f"{card.head.id}: related card", card.head.related)


def _questions_of(card: Card) -> Iterator[str]:
    try:
        yield from question_problems(card, read_questions(QUESTIONS / f"{card.head.id}.yaml"))
    except (OSError, ContentError) as error:
        yield f"questions of {card.head.id}: {error}"


def lexicon_problems(concepts: Mapping[str, Concept]) -> Iterator[str]:
    """Names that two concepts share: a text could not tell which one is meant."""
    owners: dict[str, str] = {}
    exact: dict[str, str] = {}
    for concept in concepts.values():
        for name in (*concept.names_zh, *concept.names_en):
            if not name.strip():
                yield f"lexicon: {concept.code} has an empty name"
            owner = owners.setdefault(" ".join(fold(name).split()), concept.code)
            if owner != concept.code:
                yield f"lexicon: “{name}” stands under {owner} and {concept.code}"
        for name in concept.abbreviations:
            owner = exact.setdefault(name, concept.code)
            if owner != concept.code:
                yield f"lexicon: abbreviation {name} stands under {owner} and {concept.code}"


def rule_problems(rule: Rule, concepts: Collection[str], listed: Collection[str]) -> Iterator[str]:
    """What is wrong with a rule that parses; `listed` are the ids of the cards."""
    yield from (f"rule {rule.id}: {fault}" for fault in condition_faults(rule.text.when))
    for code in sorted(rule.needs):
        if code not in concepts:
            yield f"rule {rule.id}: finding {code} is not in the lexicon"
    named = [*([] if rule.text.card is None else [rule.text.card]), *rule.text.cites]
    yield from (f"rule {rule.id}: there is no card {card}" for card in named if card not in listed)
    yield from _twins(f"rule {rule.id}: card", named)
    for name, texts in (("rationale", rule.text.rationale), ("advice", rule.text.advice)):
        for language in _LANGUAGES:
            text = texts.get(language, "")
            if not text.strip():
                yield f"rule {rule.id}: no {language} {name}"
            yield from _doses(f"rule {rule.id}, {name} ({language})", text)
    for source in rule.sources:
        if not (source.organisation.strip() and source.title.strip() and source.identifier.strip()):
            yield f"rule {rule.id}: the source {source.title or source.identifier} is incomplete"


def _routing_problems() -> Iterator[str]:
    file = lexicon_files.FOLDER.parent / "routing.yaml"
    try:
        data = read_yaml(file)
    except ContentError as error:
        yield str(error)
        return
    for key, value in data.items():
        for code in _codes(value):
            if code not in taxonomy().departments:
                yield f"routing.yaml, {key}: department {code} is not in departments.yaml"


def _codes(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield str(key)
            yield from _codes(member)
    elif isinstance(value, list):
        for member in value:
            yield from _codes(member)


def _scale_problems() -> Iterator[str]:
    try:
        entries = read_yaml(rule_files.FOLDER / "scale.yaml")["dispositions"]
        levels = (
            [Disposition.model_validate(e) for e in entries] if isinstance(entries, list) else []
        )
    except (ContentError, ValidationError, KeyError) as error:
        yield f"scale.yaml: {error}"
        return
    if [d.level for d in levels] != [1, 2, 3, 4, 5]:
        yield "scale.yaml: the levels are not 1 to 5 in order"
    for disposition in levels:
        for name, texts in (("name", disposition.name), ("action", disposition.action)):
            for language in _LANGUAGES:
                if not texts.get(language, "").strip():
                    yield f"scale.yaml, level {disposition.level}: no {language} {name}"


def _doses(where: str, text: str) -> Iterator[str]:
    for pattern in DOSES:
        for found in pattern.finditer(text):
            yield f"{where} names an amount of a medicine: {found.group()}"


def _twins(what: str, names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"{what} {name} is listed twice"
        seen.add(name)
