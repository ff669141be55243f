"""Measures the entity tagger on held-out lines, and chooses the thresholds of its types.

A span is right when its characters and its type are. The measured types share one micro F1, so
their thresholds are chosen together; every other type's for its own F1.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.manifest import Metric
from training.text.entities_data import KINDS, Mark

MEASURED = ("sym", "bod")
_GRID = tuple(np.round(np.arange(0.1, 0.71, 0.02), 2).tolist())
LEAST = _GRID[0]
"""Spans less probable than this are never named."""
_RESAMPLED = 1000
Counts = NDArray[np.int64]
"""Right, found and true spans, in the last axis."""


@dataclass(frozen=True)
class Candidate:
    """A span that some threshold would name, on one line."""

    line: int
    kind: str
    probability: float
    right: bool


def best_thresholds(
    candidates: Collection[Candidate], marks: Iterable[Collection[Mark]]
) -> dict[str, float]:
    """The threshold of every type, from candidates and true marks of the same lines."""
    true = Counter(kind for line in marks for kind, _, _ in line)
    found: dict[str, float] = {}
    for group in (MEASURED, *((kind,) for kind in KINDS if kind not in MEASURED)):
        tables = [_table([c for c in candidates if c.kind == k], true[k]) for k in group]
        tried = itertools.product(range(len(_GRID)), repeat=len(group))
        best = max(tried, key=lambda places: _f1(_sum(tables, places)))
        found |= {kind: _GRID[place] for kind, place in zip(group, best, strict=True)}
    return found


def held_out_counts(
    candidates: Collection[Candidate],
    marks: Sequence[Collection[Mark]],
    folds: NDArray[np.intp],
) -> Counts:
    """Counts [lines, types, 3], each fold (`folds` [lines]) with the thresholds of the others."""
    counts = np.zeros((len(marks), len(KINDS), 3), dtype=np.int64)
    for line, marked in enumerate(marks):
        for kind, _, _ in marked:
            counts[line, KINDS.index(kind), 2] += 1
    for fold in np.unique(folds):
        others = [c for c in candidates if folds[c.line] != fold]
        chosen = best_thresholds(
            others, (m for m, f in zip(marks, folds, strict=True) if f != fold)
        )
        for candidate in candidates:
            if folds[candidate.line] == fold and candidate.probability > chosen[candidate.kind]:
                counts[candidate.line, KINDS.index(candidate.kind)] += (candidate.right, 1, 0)
    return counts


def metrics_of(counts: Counts, seed: int) -> dict[str, Metric]:
    """Precision, recall and F1 of counts [lines, 3]; F1 with its bootstrap interval over lines."""
    right, found, true = (int(n) for n in counts.sum(axis=0))
    drawn = np.random.default_rng(seed).integers(0, len(counts), (_RESAMPLED, len(counts)))
    low, high = np.quantile([_f1(counts[rows].sum(axis=0)) for rows in drawn], (0.025, 0.975))
    return {
        "precision": Metric(value=right / max(found, 1)),
        "recall": Metric(value=right / max(true, 1)),
        "f1": Metric(value=_f1(np.array([right, found, true])), low=float(low), high=float(high)),
    }


def _table(candidates: Collection[Candidate], true: int) -> Counts:
    """Counts at every threshold of the grid [G, 3]."""
    probability = np.array([c.probability for c in candidates])
    right = np.array([c.right for c in candidates], dtype=bool)
    passed = [probability > threshold for threshold in _GRID]
    return np.array([(int((p & right).sum()), int(p.sum()), true) for p in passed])


def _sum(tables: Sequence[Counts], places: Sequence[int]) -> Counts:
    total = np.zeros(3, dtype=np.int64)
    for table, place in zip(tables, places, strict=True):
        total = total + table[place]
    return total


def _f1(counts: Counts) -> float:
    right, found, true = (int(n) for n in counts)
    return 2 * right / max(found + true, 1)
