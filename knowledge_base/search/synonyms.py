"""Query expansion from the finding lexicon: 心梗 also asks for 心肌梗死 and heart attack.

A concept is found by the longest of its names that occurs in the query. Its Chinese and
English names then join the query, which is also how a query in one language meets a passage
in the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from knowledge_base.lexicon.findings import Concept, Lexicon
from knowledge_base.tokeniser import fold, has_han, is_han, tokenise

_WORD = re.compile(r"[A-Za-z0-9]+")
_SHORTEST_HAN = 2
MOST_CONCEPTS = 6
"""A long story names many findings; the first ones are what it is about."""


class Synonyms:
    """Names of concepts, ready to be found in a query. Read-only after it is built."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._han: dict[str, Concept] = {}
        self._words: dict[tuple[str, ...], Concept] = {}
        self._abbreviations: dict[str, Concept] = {}
        for concept in lexicon.values():
            for name in (*concept.names_zh, *concept.names_en):
                folded = fold(name)
                if has_han(folded):
                    if len(folded) >= _SHORTEST_HAN:
                        self._han.setdefault(folded, concept)
                elif words := tuple(_WORD.findall(folded)):
                    self._words.setdefault(words, concept)
            for name in concept.abbreviations:
                self._abbreviations.setdefault(name, concept)
        self._starts = frozenset(name[0] for name in self._han)
        self._longest_han = max(map(len, self._han), default=0)
        self._longest_words = max(map(len, self._words), default=0)

    def concepts(self, query: str) -> list[Concept]:
        """The concepts that the query names, each once, at most MOST_CONCEPTS."""
        folded = fold(query)
        found: dict[str, Concept] = {}
        for concept in (
            *self._in_han(folded),
            *self._in_words(_WORD.findall(folded)),
            *(self._abbreviations[w] for w in _WORD.findall(query) if w in self._abbreviations),
        ):
            found.setdefault(concept.code, concept)
        return list(found.values())[:MOST_CONCEPTS]

    def _in_han(self, text: str) -> Iterator[Concept]:
        start = 0
        while start < len(text):
            step = 1
            if text[start] in self._starts:
                for length in range(self._longest_han, _SHORTEST_HAN - 1, -1):
                    concept = self._han.get(text[start : start + length])
                    if concept is not None:
                        yield concept
                        step = min(length, len(text) - start)
                        break
            start += step

    def _in_words(self, words: list[str]) -> Iterator[Concept]:
        start = 0
        while start < len(words):
            step = 1
            for length in range(min(self._longest_words, len(words) - start), 0, -1):
                concept = self._words.get(tuple(words[start : start + length]))
                if concept is not None:
                    yield concept
                    step = length
                    break
            start += step


def names(concepts: Sequence[Concept]) -> str:
    """Their Chinese and English names."""
    return " ".join(f"{concept.zh} {concept.en}" for concept in concepts)


def expansion(tokens: Sequence[str], concepts: Sequence[Concept]) -> list[str]:
    """Tokens of the names of `concepts` that are not among the query's own `tokens`, each once.

    Single Chinese characters are left out: they are no evidence of the concept.
    """
    own = set(tokens)
    return [
        token
        for token in dict.fromkeys(tokenise(names(concepts)))
        if token not in own and (len(token) > 1 or not is_han(token))
    ]
