"""Pairs of texts that mean the same or answer each other, for the embedding model."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from knowledge_base.cards import cards
from knowledge_base.language import Language
from knowledge_base.lexicon.findings import lexicon
from knowledge_base.questions import questions
from knowledge_base.search.entry import card_entries
from training.text.readers import OWN_CARDS, OWN_QUESTIONS, OWN_TERMS, list_of, rows, text_of

_LANGUAGES: tuple[Language, ...] = ("zh", "en")
_MOST_ANSWERS = 2
"""Passages that a question is paired with: the first are the best."""


def held_out(key: str) -> bool:
    """True for about one key in twenty, for ever the same ones."""
    return zlib.crc32(key.encode("utf-8")) % 20 == 0


@dataclass(frozen=True)
class Pair:
    """Two texts of one source; `key` decides on which side of the split the pair falls.

    Without a key it is always learned.
    """

    left: str
    right: str
    source: str
    key: str

    @property
    def held_out(self) -> bool:
        """See `held_out`."""
        return bool(self.key) and held_out(self.key)


def hpo(data_dir: Path, limit: int | None) -> list[Pair]:
    """A phenotype's Chinese and English name."""
    return [
        Pair(text_of(r, "zh"), text_of(r, "en"), "hpo_zh", text_of(r, "id"))
        for r in rows(data_dir, "hpo_zh", limit)
    ]


def medquad(data_dir: Path, limit: int | None) -> list[Pair]:
    """An English question and the first words of its answer; split by what it is about."""
    return [
        Pair(text_of(r, "question"), text_of(r, "answer")[:500], "medquad", text_of(r, "focus"))
        for r in rows(data_dir, "medquad", limit)
        if text_of(r, "answer")
    ]


def diseases(data_dir: Path, limit: int | None) -> list[Pair]:
    """A disease's name with its overview, its symptoms with its prose, and how it shows, without
    its name, with what else is written of it."""
    dice = random.Random(0)
    found = []
    for row in rows(data_dir, "zh_diseases", limit):
        name, symptoms = text_of(row, "name"), list_of(row, "symptoms")
        overview = text_of(row, "overview")[:200]
        prose = "".join(list_of(row, "symptom_text"))[:300]
        if overview:
            found.append(Pair(name, overview, "zh_diseases", name))
        if symptoms and prose:
            some = dice.sample(symptoms, min(len(symptoms), dice.randint(1, 4)))
            found.append(Pair("，".join(some), f"{name}。{prose}", "zh_diseases", name))
        other = [t for t in (text_of(row, f) for f in ("overview", "cause", "prevention")) if t]
        shown = prose.replace(name, "")
        if shown and other:
            about = dice.choice(other)[:300]
            found.append(Pair(shown, f"{name}: {about}", "zh_diseases", name))
    return found


def consults(data_dir: Path, limit: int | None) -> list[Pair]:
    """A patient's title with the text, and with the doctor's answer."""
    found = []
    for row in rows(data_dir, "zh_consult_internal.train", limit):
        title, text = text_of(row, "title"), text_of(row, "text")
        answer = text_of(row, "answer")[:200]
        if text:
            found.append(Pair(title, text, "zh_consult_internal.train", title))
        if answer:
            found.append(Pair(title, answer, "zh_consult_internal.train", title))
    return found


def similar(data_dir: Path, limit: int | None) -> list[Pair]:
    """Pairs that people judged alike in CHIP-STS (label 1) and KUAKE-QQR (label 2).

    Benchmark terms, research use only: off in the shipped configuration.
    """
    found = []
    for name, left, right, alike in (
        ("cblue/CHIP-STS.train", "text1", "text2", "1"),
        ("cblue/KUAKE-QQR.train", "query1", "query2", "2"),
    ):
        found += [
            Pair(text_of(r, left), text_of(r, right), name, text_of(r, left))
            for r in rows(data_dir, name, limit)
            if str(r.get("label")) == alike
        ]
    return found


def asked(_data_dir: Path, limit: int | None) -> list[Pair]:
    """A question beside our cards with the passages that answer it, in either language."""
    shown = {e.id: e.shown for e in card_entries(cards().values())}
    every = [question for listed in questions().values() for question in listed][:limit]
    return [
        Pair(question.text, shown[answer][language].indexed, OWN_QUESTIONS, question.text)
        for question in every
        for answer in question.answers[:_MOST_ANSWERS]
        for language in _LANGUAGES
    ]


def bullets(_data_dir: Path, limit: int | None) -> list[Pair]:
    """A passage of our cards in Chinese and in English."""
    entries = list(card_entries(cards().values()))[:limit]
    return [Pair(e.shown["zh"].indexed, e.shown["en"].indexed, OWN_CARDS, "") for e in entries]


def terms(data_dir: Path, limit: int | None) -> list[Pair]:
    """The names of a finding in both languages, and its Chinese names.

    Findings that hpo_zh holds out are left out: its figure must not owe anything to our lexicon.
    """
    kept_back = {
        name.lower()
        for pair in hpo(data_dir, None)
        if pair.held_out
        for name in (pair.left, pair.right)
    }
    dice = random.Random(0)
    found = []
    for concept in list(lexicon().values())[:limit]:
        zh, en = concept.names_zh, concept.names_en
        if kept_back.intersection(name.lower() for name in (*zh, *en)):
            continue
        found += [Pair(name, dice.choice(en), OWN_TERMS, "") for name in zh]
        found += [Pair(name, dice.choice(zh), OWN_TERMS, "") for name in en]
        found += [Pair(name, zh[0], OWN_TERMS, "") for name in zh[1:]]
    return found


READERS: Mapping[str, Callable[[Path, int | None], list[Pair]]] = {
    "hpo": hpo,
    "medquad": medquad,
    "diseases": diseases,
    "consults": consults,
    "similar": similar,
    "asked": asked,
    "bullets": bullets,
    "terms": terms,
}
