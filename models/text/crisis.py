"""Finds phrases of crisis by their parts: an intent, a deed and whom it would hit.

A wish to die or a threat is worded in endless ways; a list of phrases misses most. The patterns
stand in `knowledge_base/lexicon/crisis.yaml`; this module only looks for them in one sentence at
a time. It reads no negation: a mention goes through the context like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

from knowledge_base.lexicon.crisis import CrisisLexicon, CrisisWords, crisis_lexicon
from knowledge_base.lexicon.crisis import Pattern as Listed
from models.text.context import SENTENCE_END
from models.text.matcher import Mention
from models.text.words import alternatives

_GAP = {
    "zh": "[^。!?;\\n]{{0,{gap}}}?",
    "en": "(?:[^a-z0-9'.!?;]+[a-z0-9']+){{0,{gap}}}?[^a-z0-9'.!?;]+",
}


@dataclass(frozen=True)
class _Pattern:
    """`needs` are the words of the classes that must all stand in the text, the rarest first."""

    code: str
    phrase: re.Pattern[str]
    needs: tuple[tuple[str, ...], ...]
    beside: re.Pattern[str] | None
    unless: tuple[re.Pattern[str], ...]

    def possible(self, text: str) -> bool:
        """Whether `text` holds a word of every class: a plain look that spares the search."""
        return all(any(word in text for word in words) for words in self.needs)

    def find(self, sentence: str) -> tuple[int, int] | None:
        """Where one sentence says it, unless something there makes it harmless."""
        found = self.phrase.search(sentence)
        if found is None or (self.beside and not self.beside.search(sentence)):
            return None
        return None if any(word.search(sentence) for word in self.unless) else found.span()


def _compile(listed: Listed, words: CrisisWords, language: str) -> _Pattern:
    whole = language == "en"
    classes = {name: alternatives(either, whole=whole) for name, either in words.words.items()}
    gap = _GAP[language].format(gap=listed.gap)
    orders = permutations(listed.parts) if listed.any_order else (listed.parts,)
    return _Pattern(
        code=listed.code,
        phrase=re.compile("|".join(gap.join(classes[part] for part in order) for order in orders)),
        needs=tuple(words.words[part] for part in reversed(listed.parts)),
        beside=None if listed.beside is None else re.compile(classes[listed.beside]),
        unless=tuple(re.compile(classes[name]) for name in listed.unless),
    )


class CrisisReader:
    """Built once from the patterns; `find` is pure and thread-safe."""

    def __init__(self, listed: CrisisLexicon) -> None:
        self._patterns = [
            _compile(pattern, words, language)
            for language, words in (("zh", listed.zh), ("en", listed.en))
            for pattern in words.patterns
        ]

    def extend(self, text: str, mentions: Sequence[Mention]) -> list[Mention]:
        """The mentions of normalised `text` with those of crisis that no list had, in order.

        A listed mention of the same finding wins; one of another finding stays beside.
        """
        added = [
            found
            for found in self._find(text)
            if not any(
                m.code == found.code and m.start < found.end and found.start < m.end
                for m in mentions
            )
        ]
        return sorted([*mentions, *added], key=lambda m: (m.start, m.end))

    def _find(self, text: str) -> Iterator[Mention]:
        possible = [pattern for pattern in self._patterns if pattern.possible(text)]
        if not possible:
            return
        start = 0
        for end in (*(m.end() for m in SENTENCE_END.finditer(text)), len(text)):
            for pattern in possible:
                span = pattern.find(text[start:end])
                if span is not None:
                    yield Mention(pattern.code, start + span[0], start + span[1])
            start = end


@lru_cache(maxsize=1)
def crisis_reader() -> CrisisReader:
    """The reader over the shipped patterns, built once."""
    return CrisisReader(crisis_lexicon())
