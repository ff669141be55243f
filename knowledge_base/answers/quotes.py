"""What an answer may quote: parts of passages, a sentence to three, each with its offsets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from knowledge_base.language import Language
from knowledge_base.library.parts import Span, parts
from knowledge_base.search.entry import Entry, Shown
from knowledge_base.search.index import SearchHit
from knowledge_base.tokeniser import tokenise

MOST_QUOTES = 40
"""Quotes that are judged for one question."""


@dataclass(frozen=True, slots=True)
class Quote:
    """Sentences of one passage that stand together; spans: [start, end) in its text."""

    entry: Entry
    language: Language
    spans: tuple[Span, ...]

    @property
    def shown(self) -> Shown:
        """The passage in the language quoted."""
        return self.entry.shown[self.language]

    @property
    def text(self) -> str:
        """From the first sentence to the last."""
        return self.shown.text[self.spans[0][0] : self.spans[-1][1]]

    @property
    def judged(self) -> str:
        """What the reranker reads: headings say what a sentence is about."""
        return self.shown.under_headings(self.text)

    def sentences(self) -> Iterator[tuple[str, Span]]:
        """Each sentence with its place."""
        for start, end in self.spans:
            yield self.shown.text[start:end], (start, end)


def quotes(hits: Sequence[SearchHit], question: str) -> list[Quote]:
    """What may be quoted of the passages found, at most MOST_QUOTES.

    Where there is more, the quotes that share most words with the question stay, the better
    passage first among equals.
    """
    found = [
        Quote(hit.entry, hit.language, spans) for hit in hits for spans in parts(hit.shown.text)
    ]
    if len(found) <= MOST_QUOTES:
        return found
    asked = set(tokenise(question))
    shared = [len(asked.intersection(tokenise(quote.judged))) for quote in found]
    kept = sorted(range(len(found)), key=lambda i: (-shared[i], i))[:MOST_QUOTES]
    return [found[i] for i in sorted(kept)]
