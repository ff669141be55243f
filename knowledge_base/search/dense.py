"""Dense search: inner products of embeddings, exact. Built once, then only read."""

from __future__ import annotations

from collections.abc import Sequence

import faiss
import numpy as np
from numpy.typing import NDArray

from knowledge_base.embedder import Embedder


class DenseIndex:
    """Exact nearest texts by cosine similarity; a text is known by its position.

    Below 100,000 vectors a flat index is as fast as any approximate one and never misses.
    """

    def __init__(self, embedder: Embedder, texts: Sequence[str]) -> None:
        self._embedder = embedder
        self._size = len(texts)
        self._index = faiss.IndexFlatIP(embedder.dimension)
        if texts:
            self._index.add(self._embed(texts))

    def __len__(self) -> int:
        return self._size

    def similarities(self, query: str) -> NDArray[np.float32]:
        """The cosine similarity of every text to the query, shape [len(self)]."""
        result = np.zeros(self._size, dtype=np.float32)
        if self._size:
            values, positions = self._index.search(self._embed([query]), self._size)
            result[positions[0]] = values[0]
        return result

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(self._embedder.embed(texts), dtype=np.float32)
        if rows.shape != (len(texts), self._embedder.dimension):
            raise ValueError(f"the embedder gave {rows.shape} for {len(texts)} texts")
        return rows
