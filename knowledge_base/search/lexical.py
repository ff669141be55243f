"""Lexical search: BM25 over tokens. Built once, then only read, so threads may share it."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence

import bm25s
import numpy as np
from numpy.typing import NDArray

from knowledge_base.tokeniser import is_han

logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG on import


class LexicalIndex:
    """BM25 scores of documents given as token lists; a document is known by its position."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        self._size = len(documents)
        self._tokens = [frozenset(tokens) for tokens in documents]
        self._frequency = Counter(token for tokens in self._tokens for token in tokens)
        self._ids: dict[str, int] = {}
        rows = [[self._ids.setdefault(t, len(self._ids)) for t in tokens] for tokens in documents]
        self._bm25 = bm25s.BM25(backend="numpy")
        if self._ids:
            self._bm25.index((rows, dict(self._ids)), show_progress=False)

    def __len__(self) -> int:
        return self._size

    def scores(self, tokens: Sequence[str]) -> NDArray[np.float32]:
        """The BM25 score of every document, shape [len(self)]; 0 where no token occurs."""
        known = [self._ids[t] for t in tokens if t in self._ids]
        if not known:
            return np.zeros(self._size, dtype=np.float32)
        scores: NDArray[np.float32] = self._bm25.get_scores_from_ids(known)
        return scores

    def coverage(self, tokens: Sequence[str], documents: Sequence[int]) -> float:
        """How much of the query the best of these documents holds: 0 to 1.

        Tokens weigh their inverse document frequency, so that one common word in common
        (今天, best) is little. Single Chinese characters are left out.
        """
        weights = {t: self._weight(t) for t in tokens if len(t) > 1 or not is_han(t)}
        total = sum(weights.values())
        if not total:
            return 0.0
        held = (sum(weights[t] for t in self._tokens[d] & weights.keys()) for d in documents)
        return max(held, default=0.0) / total

    def _weight(self, token: str) -> float:
        frequency = self._frequency[token]
        return math.log(1 + (self._size - frequency + 0.5) / (frequency + 0.5))

    def search(
        self,
        tokens: Sequence[str],
        *,
        also: Sequence[str] = (),
        also_weight: float = 0.0,
        bonus: NDArray[np.float32] | None = None,
        allowed: NDArray[np.bool_] | None = None,
        limit: int = 100,
    ) -> list[int]:
        """Documents, best first, at most `limit`.

        `also` are expansion tokens; they count `also_weight` of their score. Single Chinese
        characters add to a score but make no hit of their own (天气 must not find 腹胀气),
        unless the query has nothing else. `bonus` is added to the scores of hits, `allowed`
        masks documents; both have the shape [len(self)].
        """
        single = [t for t in tokens if len(t) == 1 and is_han(t)]
        whole = [t for t in tokens if len(t) > 1 or not is_han(t)]
        strong = self.scores(whole)
        if also:
            strong = strong + np.float32(also_weight) * self.scores(also)
        total = strong + self.scores(single)
        hit = strong > 0 if whole or also else total > 0
        if bonus is not None:
            total = total + bonus
        if allowed is not None:
            hit = hit & allowed
        found = np.flatnonzero(hit)
        order = np.argsort(-total[found], kind="stable")[:limit]
        return [int(document) for document in found[order]]
