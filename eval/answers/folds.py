"""Five folds by question: no question in two of them, whatever the order of the file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eval.answers.texts import Pool

FOLDS = 5
_SHARED = 1 / 3


def folds(pools: Sequence[Pool]) -> NDArray[np.int64]:
    """A fold of 0 to 4 for each question.

    Questions that share a third of their answers ("What is Flu?", "What causes Flu?") stay
    together: a model that has seen the answers of one has half seen those of the other.
    """
    groups = _groups(pools)
    members: dict[int, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    found = np.zeros(len(pools), dtype=np.int64)
    sizes = [0] * FOLDS
    for rows in sorted(members.values(), key=lambda rows: min(_mark(pools[i]) for i in rows)):
        smallest = sizes.index(min(sizes))
        found[rows] = smallest
        sizes[smallest] += len(rows)
    return found


def _mark(pool: Pool) -> str:
    return hashlib.sha256(pool.question.encode("utf-8")).hexdigest()


def _groups(pools: Sequence[Pool]) -> list[int]:
    parent = list(range(len(pools)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    answers = [frozenset(pool.answers) for pool in pools]
    for i, pool in enumerate(pools):
        for j in range(i):
            shared = len(answers[i] & answers[j]) / min(len(answers[i]), len(answers[j]))
            if shared >= _SHARED or pool.question == pools[j].question:
                parent[root(i)] = root(j)
    return [root(i) for i in range(len(pools))]
