"""How the benchmark `answers` reads a question and an answer: subject, title, what both ask of it.

Answers open with their title: "VDRL test (What Abnormal Results Mean): A positive test ...",
"What are the treatments for Flu?: Home care ...". Questions from people open with a subject line:
"achalasia. after surgery for achalasia, ...". What stands in neither form is read as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from knowledge_base.tokeniser import fold, tokenise
from knowledge_base.yaml_files import read_yaml

_LEXICON = Path(__file__).with_name("aspects.yaml")
_LONGEST_TITLE = 200
_SUBJECT = re.compile(r"(.{2,80}?)[.?!]+\s+(\S.*)", re.DOTALL)
_ASKS = re.compile(r"(?:what|how|who|why|when|where|do|does|is|are|can|should|which)\b", re.I)
_PART = re.compile(r"(.*\S)\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)\??")
_ABOUT = re.compile(
    r".*\b(?:symptoms of|treatments? (?:for|of)|related to|diagnose|about|doctor for)\s+"
    r"|what causes\s+|what (?:is|are) (?:the )?",
    re.I,
)
"""What stands before the name in a title that is a question."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\s- ")
_SHORTEST_SENTENCE = 15
_ALIKE = 0.7
_SHORTEST_MISSPELT = 5


@dataclass(frozen=True)
class Pool:
    """A question and its candidate answers; what anybody thought of them is not in it."""

    question: str
    answers: tuple[str, ...]


class _File(BaseModel):
    """`aspects.yaml`."""

    version: int
    aspects: dict[str, list[str]]
    filler: list[str]
    hollow: list[str]


@dataclass(frozen=True)
class AspectLexicon:
    """`aspects.yaml`, ready to be looked for."""

    names: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    filler: frozenset[str]
    hollow: re.Pattern[str]

    def in_text(self, text: str) -> NDArray[np.bool_]:
        """Which aspects a text names, in the order of `names`."""
        folded = fold(text)
        return np.array([p.search(folded) is not None for p in self.patterns])


@lru_cache(maxsize=1)
def aspect_lexicon() -> AspectLexicon:
    """The lexicon of this folder."""
    read = _File.model_validate(read_yaml(_LEXICON))
    patterns = tuple(re.compile("|".join(map(_pattern, t))) for t in read.aspects.values())
    filler = frozenset(token for word in read.filler for token in tokenise(word))
    hollow = re.compile("|".join(map(re.escape, read.hollow)))
    return AspectLexicon(tuple(read.aspects), patterns, filler, hollow)


def _pattern(term: str) -> str:
    start = rf"\b{re.escape(term.removesuffix('*'))}"
    return start if term.endswith("*") else rf"{start}\b"


@dataclass(frozen=True)
class AskedText:
    """A question: `subject` is its first line, `message` the rest; alike where there is one."""

    text: str

    @cached_property
    def _parts(self) -> tuple[str, str]:
        found = _SUBJECT.fullmatch(self.text)
        return (found[1], found[2]) if found else (self.text, self.text)

    @property
    def subject(self) -> str:
        """The subject line."""
        return self._parts[0]

    @property
    def message(self) -> str:
        """What follows it."""
        return self._parts[1]

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Stemmed words, each once."""
        return tuple(dict.fromkeys(tokenise(self.text)))

    @cached_property
    def focus(self) -> tuple[str, ...]:
        """The tokens that can say what it is about."""
        return tuple(t for t in self.tokens if t not in aspect_lexicon().filler)

    @cached_property
    def aspects(self) -> NDArray[np.bool_]:
        """What it asks for."""
        return aspect_lexicon().in_text(self.text)


@dataclass(frozen=True)
class AnswerText:
    """An answer: `title`, the `head` in it that names the thing, the `part` that says which side
    of it is told, and the `body`. Any of the first three may be empty."""

    text: str
    title: str
    head: str
    part: str
    body: str

    @classmethod
    def of(cls, text: str) -> AnswerText:
        """The parts of a text."""
        place = text.find(": ")
        if not 0 < place <= _LONGEST_TITLE:
            return cls(text, "", "", "", text)
        title, body = text[:place].replace("IMH » ", ""), text[place + 2 :]
        if _ASKS.match(title):
            return cls(text, title, _ABOUT.sub("", title.rstrip("?"), count=1), title, body)
        found = _PART.fullmatch(title)
        if found and _is_part(found[2]):
            return cls(text, title, found[1], found[2], body)
        return cls(text, title, title, "", body)

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Stemmed words in their order."""
        return tuple(tokenise(self.text))

    @cached_property
    def head_tokens(self) -> frozenset[str]:
        """Stemmed words of the head."""
        return frozenset(tokenise(self.head)) - aspect_lexicon().filler

    @cached_property
    def aspects(self) -> NDArray[np.bool_]:
        """What the title says that it holds; an overview only where it names nothing else."""
        if not self.part:
            return np.zeros(len(aspect_lexicon().names), dtype=bool)
        found = aspect_lexicon().in_text(self.part)
        if found.sum() > 1:
            found[aspect_lexicon().names.index("overview")] = False
        return found

    @property
    def is_question(self) -> bool:
        """Whether its title asks."""
        return _ASKS.match(self.title) is not None

    @property
    def is_hollow(self) -> bool:
        """Whether it opens by sending elsewhere."""
        return aspect_lexicon().hollow.search(fold(self.body[:300])) is not None

    @cached_property
    def initials(self) -> str:
        """NPH of normal pressure hydrocephalus, lower case; empty for two words or seven."""
        words = re.findall(r"[A-Za-z]+", self.head)
        return "".join(w[0] for w in words).lower() if 2 < len(words) < 7 else ""


def _is_part(words: str) -> bool:
    """(Treatment), not (H1N1 flu)."""
    named = bool(aspect_lexicon().in_text(words).any())
    return named or words.endswith("?") or len(words.split()) > 3


def sentences(text: str, most: int) -> list[str]:
    """The first `most` sentences and list items that are long enough to say something."""
    found = [s.strip() for s in _SENTENCE.split(text) if len(s.strip()) > _SHORTEST_SENTENCE]
    return found[:most] or [text[:200]]


def alike(word: str, others: Sequence[str]) -> float:
    """How near the nearest of `others` is written: 1 the same, 0 below the threshold.

    Dice's coefficient of letter pairs (Dice 1945), for words of five letters or more.
    """
    if word in others:
        return 1.0
    if len(word) < _SHORTEST_MISSPELT:
        return 0.0
    near = [o for o in others if len(o) >= _SHORTEST_MISSPELT and abs(len(o) - len(word)) <= 3]
    best = max((_dice(word, other) for other in near), default=0.0)
    return best if best >= _ALIKE else 0.0


@lru_cache(maxsize=20_000)
def _letter_pairs(word: str) -> Counter[str]:
    return Counter(a + b for a, b in pairwise(f"^{word}$"))


def _dice(first: str, second: str) -> float:
    a, b = _letter_pairs(first), _letter_pairs(second)
    return 2 * (a & b).total() / (a.total() + b.total())
