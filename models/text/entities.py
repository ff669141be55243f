"""Entity spans from a tagger's scores: the probability of every span, and the spans to name.

A text's tags (outside, begin, inside, end, single) of one type make a chain in which only whole
entities are legal; forward and backward sums over it (Rabiner 1989; Sarawagi and Cohen 2004) give
the probability of every span. Spans are named from a threshold on: for the best expected F1 it
lies below one half (Lipton et al. 2014). Types are read apart from each other, so that a body
site may lie inside a symptom (肺 in 肺内病变). Pure numpy; knows nothing of any network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Probabilities = NDArray[np.float64]

OUTSIDE, BEGIN, INSIDE, END, SINGLE = range(5)
TAGS = 5
_NEVER = -1e9


@dataclass(frozen=True)
class Entity:
    """Characters start..end (end exclusive) of a text, of one type."""

    kind: str
    start: int
    end: int
    probability: float = 1.0


@dataclass(frozen=True)
class Span:
    """Pieces first..last (inclusive) of one type, by its number."""

    kind: int
    first: int
    last: int
    probability: float


def tags_of(spans: Sequence[tuple[int, int]], length: int) -> NDArray[np.int64]:
    """Tags [length] of spans of pieces (first, last inclusive) that do not overlap."""
    tags = np.full(length, OUTSIDE, dtype=np.int64)
    for first, last in spans:
        if first == last:
            tags[first] = SINGLE
        else:
            tags[first], tags[last] = BEGIN, END
            tags[first + 1 : last] = INSIDE
    return tags


def span_probabilities(scores: Scores, widest: int) -> Probabilities:
    """Probabilities [T, L, W] from `scores` [T, L, 5]: at [t, i, w] that pieces i..i+w are one
    entity of type t. W is `widest` or L, whichever is less.
    """
    kinds, length, _ = scores.shape
    exact = scores.astype(np.float64)
    begin, inside, end, single = (exact[:, :, tag] for tag in (BEGIN, INSIDE, END, SINGLE))
    before, after = _sums(exact), _sums(_reversed(exact))[:, ::-1]
    # The sum of the inside scores before each place: of a span it is a difference of two.
    running = np.pad(np.cumsum(inside, axis=1), ((0, 0), (1, 0)))
    found = np.zeros((kinds, length, min(widest, length)))
    for width in range(found.shape[2]):
        last = slice(width, length)
        span = single
        if width:
            within = running[:, width:length] - running[:, 1 : length - width + 1]
            span = begin[:, : length - width] + within + end[:, last]
        paths = before[:, : length - width] + span + after[:, width + 1 :]
        found[:, : length - width, width] = np.exp(paths - before[:, -1:])
    return found


def likely_spans(scores: Scores, thresholds: Sequence[float], widest: int) -> Iterator[Span]:
    """Spans whose probability passes their type's threshold, the most probable first.

    Of two spans of one type that overlap the more probable one is kept.
    """
    probabilities = span_probabilities(scores, widest)
    passed = probabilities > np.asarray(thresholds)[:, None, None]
    numbers = np.argwhere(passed)
    taken = np.zeros(scores.shape[:2], dtype=bool)
    for place in np.argsort(-probabilities[passed], kind="stable"):
        kind, first, width = (int(n) for n in numbers[place])
        if not taken[kind, first : first + width + 1].any():
            taken[kind, first : first + width + 1] = True
            yield Span(kind, first, first + width, float(probabilities[kind, first, width]))


def _reversed(scores: Probabilities) -> Probabilities:
    """The same chain read from its end: what ended begins."""
    return scores[:, ::-1, [OUTSIDE, END, INSIDE, BEGIN, SINGLE]]


def _sums(scores: Probabilities) -> Probabilities:
    """Log-sums [T, L + 1] over all legal tags of the places before each place, no entity open."""
    kinds, length, _ = scores.shape
    closed = np.zeros((kinds, length + 1))
    opened = np.full(kinds, _NEVER)
    alone = np.logaddexp(scores[:, :, OUTSIDE], scores[:, :, SINGLE])
    for place in range(length):
        here = scores[:, place]
        closed[:, place + 1] = np.logaddexp(
            closed[:, place] + alone[:, place], opened + here[:, END]
        )
        opened = np.logaddexp(closed[:, place] + here[:, BEGIN], opened + here[:, INSIDE])
    return closed
