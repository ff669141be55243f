"""English words of a text with their stems and places, read over typing errors where asked.

Knows nothing of what they mean, only which words the lexicon and its grammar know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from knowledge_base.lexicon.context import cues
from knowledge_base.lexicon.findings import lexicon
from knowledge_base.lexicon.grammar import grammar
from knowledge_base.writing import stems
from models.text.normalise import is_cjk, normalise
from models.text.typos import typos

_WRITTEN = "\x00"
"""Marks a word as written, beside the stems."""
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?(?:/[a-z]+)?")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of normalised text: `[start, end)` in characters; `word` as it is meant."""

    stem: str
    word: str
    start: int
    end: int
    corrected: bool = False


def words(text: str, unstemmed: frozenset[str]) -> list[Word]:
    """Words with stems; those in `unstemmed` keep their form, and so do inflammations.

    The stem of cervicitis is that of cervical, and the stem of overate is "over".
    """
    found = [(m.group(), m.start(), m.end()) for m in _WORD.finditer(text)]
    return [
        Word(exact(word) if word in unstemmed or word.endswith("itis") else stem, word, start, end)
        for stem, (word, start, end) in zip(stems([w for w, _, _ in found]), found, strict=True)
    ]


def words_meant(text: str, unstemmed: frozenset[str]) -> list[Word]:
    """Words with stems, where unknown ones stand for what was likely meant: diarhea, pian."""
    found = words(text, unstemmed)
    known = _known()
    for number, word in enumerate(found):
        if word.stem in known or _WRITTEN + word.word in known:
            continue
        meant = typos().meant(word.word)
        if meant is not None:
            found[number] = Word(stems([meant])[0], meant, word.start, word.end, corrected=True)
    return found


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    """Every English word of the lexicon, its grammar and the context words, and the stems.

    A stem that is a word and no stem of its own (dizzy, of "dizzyness") is not among them.
    """

    def names() -> Iterator[str]:
        for concept in lexicon().values():
            yield from concept.names_en
        for site in grammar().sites.values():
            yield from site.en
        for sensation in grammar().sensations.values():
            yield from sensation.en
        for listed in (grammar().words["en"], cues()["en"]):
            for value in dict(listed).values():
                yield from value if isinstance(value, tuple) else ()

    listed = {word for name in names() for word in _WORD.findall(normalise(name))}
    return frozenset(stems(sorted(listed))) | {_WRITTEN + word for word in listed}


def alternatives(listed: Iterable[str], *, whole: bool) -> str:
    """A pattern of any of the words, the longest first; `whole` where Latin letters end them."""
    either = "|".join(re.escape(w) for w in sorted(set(listed), key=len, reverse=True))
    return rf"(?<![a-z0-9'])(?:{either})(?![a-z0-9'])" if whole else f"(?:{either})"


def exact(word: str) -> str:
    """The stand-in for a stem of a word that keeps its form."""
    return "=" + word


def adjacent(text: str, end: int, start: int) -> bool:
    """Whether only blanks or a hyphen stand between two words of one term."""
    return all(c in " -/\n" for c in text[end:start]) and not any(map(is_cjk, text[end:start]))
