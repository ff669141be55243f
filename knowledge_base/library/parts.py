"""The thoughts of a text: a sentence to three that stand together.

A passage of a card is one thought; a chunk of a document holds several, of which one may answer a
question. Search compares meanings with each, and an answer quotes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from knowledge_base.library.sentences import sentences

Span = tuple[int, int]

MOST_SENTENCES = 3
LONGEST = 320
"""Characters of a part of several sentences; a single longer sentence is a part of its own."""


def parts(text: str) -> Iterator[tuple[Span, ...]]:
    """The sentences [start, end) of each part: a text cut at lines, and long lines at sentences."""
    start = 0
    for line in text.split("\n"):
        yield from _grouped([(start + a, start + b) for a, b in sentences(line)])
        start += len(line) + 1


def _grouped(spans: Sequence[Span]) -> Iterator[tuple[Span, ...]]:
    group: list[Span] = []
    for span in spans:
        full = len(group) == MOST_SENTENCES
        if group and (full or span[1] - group[0][0] > LONGEST):
            yield tuple(group)
            group = []
        group.append(span)
    if group:
        yield tuple(group)
