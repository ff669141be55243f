"""Reading over typing errors of one character: 拉肚孑, 发骚, diarhea, chest pian.

Only towards the words of `confusables.yaml`, only where the word as it stands is unknown, and
without moving a character, so that spans stay true. Knows nothing of findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from knowledge_base.lexicon.confusables import Confusables, confusables

_LONG = 6
_SHORT = 4


class Typos:
    """Built once from the tables; pure and thread-safe."""

    def __init__(self, tables: Confusables) -> None:
        self._words = tables.zh.words
        self._wrong = re.compile("|".join(sorted(map(re.escape, self._words), key=len)[::-1]))
        self.alike = _alternatives(tables.zh.alike)
        """Characters that may have been meant, by the one that was typed."""
        self._ordinary = frozenset(tables.en.ordinary)
        self._near: dict[str, set[str]] = {}
        for word in tables.en.words:
            for variant in _shortened(word):
                self._near.setdefault(variant, set()).add(word)
        self._swapped = {s: word for word in tables.en.short for s in _swaps(word) if s != word}

    def read_over(self, text: str, folded: str) -> tuple[str, list[tuple[int, int]]]:
        """The text with short Chinese words put right, and the spans that were.

        `folded` is the text normalised. The length stays.
        """
        spans = [m.span() for m in self._wrong.finditer(folded)]
        for start, end in spans:
            text = text[:start] + self._words[folded[start:end]] + text[end:]
        return text, spans

    def meant(self, word: str) -> str | None:
        """The English word that an unknown one stands for, None where that is not clear."""
        if len(word) < _SHORT or word in self._ordinary:
            return None
        if len(word) >= _LONG - 1:
            near = {
                target
                for variant in _shortened(word)
                for target in self._near.get(variant, ())
                if target[0] == word[0] and _one_slip(word, target)
            }
            if near:
                return min(near)
        return self._swapped.get(word)


def is_short(word: str) -> bool:
    """Whether a word is so short that only its neighbours make an error of it likely."""
    return len(word) < _LONG


def _alternatives(groups: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for group in groups:
        for character in group:
            found[character] = found.get(character, "") + group.replace(character, "")
    return found


def _shortened(word: str) -> set[str]:
    """The word and what is left of it without one letter: near words share one of these."""
    return {word} | {word[:i] + word[i + 1 :] for i in range(len(word))}


def _swaps(word: str) -> set[str]:
    return {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}


def _one_slip(typed: str, meant: str) -> bool:
    """Whether one letter is wrong, missing or too many, or two neighbours are swapped."""
    if len(typed) == len(meant):
        wrong = [i for i, (a, b) in enumerate(zip(typed, meant, strict=True)) if a != b]
        return len(wrong) == 1 or (
            len(wrong) == 2 and wrong[1] == wrong[0] + 1 and typed in _swaps(meant)
        )
    longer, shorter = sorted((typed, meant), key=len, reverse=True)
    return len(longer) == len(shorter) + 1 and shorter in _shortened(longer)


@lru_cache(maxsize=1)
def typos() -> Typos:
    """The reader of typing errors over the shipped tables, built once."""
    return Typos(confusables())
