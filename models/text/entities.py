"""Entity spans from a tagger's scores: the best legal path of BIOES tags per type (Viterbi 1967).

Types are decoded apart from each other, so that a body site may lie inside a symptom (肺 in
肺内病变). Pure numpy; knows nothing of any network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

OUTSIDE, BEGIN, INSIDE, END, SINGLE = range(5)
TAGS = 5
_FORBIDDEN = -1e9
_FOLLOWS = {
    OUTSIDE: (OUTSIDE, BEGIN, SINGLE),
    BEGIN: (INSIDE, END),
    INSIDE: (INSIDE, END),
    END: (OUTSIDE, BEGIN, SINGLE),
    SINGLE: (OUTSIDE, BEGIN, SINGLE),
}
_MOVES = np.full((TAGS, TAGS), _FORBIDDEN, dtype=np.float32)
for _tag, _next in _FOLLOWS.items():
    _MOVES[_tag, list(_next)] = 0.0
_FIRST = np.array([0.0, 0.0, _FORBIDDEN, _FORBIDDEN, 0.0], dtype=np.float32)
_LAST = np.array([0.0, _FORBIDDEN, _FORBIDDEN, 0.0, 0.0], dtype=np.float32)


@dataclass(frozen=True)
class Entity:
    """Characters start..end (end exclusive) of a text, of one type."""

    kind: str
    start: int
    end: int


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


def best_tags(scores: Scores) -> NDArray[np.int64]:
    """The legal tags [T, L] with the highest sum of `scores` [T, L, 5], each type for itself."""
    kinds, length, _ = scores.shape
    if length == 0:
        return np.zeros((kinds, 0), dtype=np.int64)
    best = scores[:, 0] + _FIRST
    came_from = np.zeros((kinds, length, TAGS), dtype=np.int64)
    for place in range(1, length):
        reached = best[:, :, None] + _MOVES
        came_from[:, place] = reached.argmax(axis=1)
        best = reached.max(axis=1) + scores[:, place]
    tags = np.zeros((kinds, length), dtype=np.int64)
    tags[:, -1] = (best + _LAST).argmax(axis=1)
    rows = np.arange(kinds)
    for place in range(length - 1, 0, -1):
        tags[:, place - 1] = came_from[rows, place, tags[:, place]]
    return tags


def runs(tags: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Spans (first, last inclusive) of one legal row of tags."""
    first = 0
    for place, tag in enumerate(tags):
        if tag in (BEGIN, SINGLE):
            first = place
        if tag in (END, SINGLE):
            yield first, place
