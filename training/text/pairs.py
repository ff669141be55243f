"""Pairs of texts that mean the same or answer each other, for the embedding model."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from training.text.readers import list_of, rows, text_of

_SENTENCE = re.compile(r"[^。！？!?；;\n]+")


@dataclass(frozen=True)
class Pair:
    """Two texts of one source; `key` decides on which side of the split the pair falls."""

    left: str
    right: str
    source: str
    key: str

    @property
    def held_out(self) -> bool:
        """True for about one key in twenty, for ever the same ones."""
        return zlib.crc32(self.key.encode("utf-8")) % 20 == 0


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
    """A disease's name with its overview, its symptoms with its prose."""
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


READERS: Mapping[str, Callable[[Path, int | None], list[Pair]]] = {
    "hpo": hpo,
    "medquad": medquad,
    "diseases": diseases,
    "consults": consults,
    "similar": similar,
}
