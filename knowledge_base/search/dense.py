"""Dense search: the nearest embeddings by cosine similarity.

Up to `EXACT_UP_TO` vectors everything is compared (faiss Flat), which never misses; above, a graph
(HNSW, Malkov and Yashunin 2018) finds the nearest without looking at most. Where a filter leaves
few passages, those are compared exactly. Built once, then only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_Graph = faiss.Index

EXACT_UP_TO = 50_000
"""Vectors that are compared one by one."""
_NEIGHBOURS = 32  # M of HNSW
_BUILD_BREADTH = 100
_SEARCH_BREADTH = 160
_FEW = 0.2
"""Share of the passages that a filter leaves below which they are compared one by one."""


class DenseIndex:
    """L2-normalised vectors by position. Several may belong to one passage: see `owners`."""

    def __init__(self, vectors: Vectors, owners: NDArray[np.int32], graph: _Graph | None) -> None:
        self._vectors, self._owners, self._graph = vectors, owners, graph

    @classmethod
    def build(cls, vectors: Vectors, owners: Sequence[int] | NDArray[np.int32]) -> DenseIndex:
        """vectors: float32 [n, d]; owners: the passage of each, [n], ascending."""
        graph = None
        if len(vectors) > EXACT_UP_TO:
            graph = faiss.IndexHNSWFlat(vectors.shape[1], _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
            graph.hnsw.efConstruction = _BUILD_BREADTH
            graph.add(vectors)
        return cls(vectors, np.asarray(owners, dtype=np.int32), graph)

    def __len__(self) -> int:
        return len(self._vectors)

    def search(
        self, query: Vectors, limit: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.intp], Vectors]:
        """The nearest passages, best first, each once, with their similarities.

        query: [d]; allowed: mask over passages.
        """
        if not len(self._vectors):
            return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.float32)
        mask = None if allowed is None else allowed[self._owners]
        rows, similarities = self._nearest(query, 2 * limit, mask)
        owners, first = np.unique(self._owners[rows], return_index=True)
        order = np.argsort(-similarities[first], kind="stable")[:limit]
        return owners[order].astype(np.intp), similarities[first][order]

    def similarities(self, query: Vectors, passages: NDArray[np.intp]) -> Vectors:
        """The exact similarity of some passages, the best of each one's vectors."""
        found = np.full(len(passages), -1.0, dtype=np.float32)
        first = np.searchsorted(self._owners, passages, side="left")
        count = np.searchsorted(self._owners, passages, side="right") - first
        places = np.repeat(np.arange(len(passages)), count)
        rows = np.arange(len(places)) + np.repeat(first - (np.cumsum(count) - count), count)
        np.maximum.at(found, places, self._vectors[rows] @ query)
        return found

    def _nearest(
        self, query: Vectors, limit: int, mask: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.intp], Vectors]:
        """Rows, best first, with their similarities."""
        if self._graph is None or (mask is not None and mask.mean() < _FEW):
            rows = np.arange(len(self._vectors)) if mask is None else np.flatnonzero(mask)
            near = self._vectors[rows] @ query if mask is not None else self._vectors @ query
            if len(rows) > limit:
                kept = np.argpartition(-near, limit)[:limit]
                rows, near = rows[kept], near[kept]
            order = np.argsort(-near, kind="stable")
            return rows[order], near[order]
        breadth = max(_SEARCH_BREADTH, limit)
        chosen = None if mask is None else faiss.IDSelectorBatch(np.flatnonzero(mask))
        parameters = faiss.SearchParametersHNSW(efSearch=breadth, sel=chosen)  # type: ignore[attr-defined]
        values, rows = self._graph.search(query[None], limit, params=parameters)
        known = rows[0] >= 0
        return rows[0][known].astype(np.intp), values[0][known]

    def save(self, folder: Path) -> None:
        """Into an existing folder, for `load`."""
        np.save(folder / "dense.vectors.npy", self._vectors)
        np.save(folder / "dense.owners.npy", self._owners)
        if self._graph is not None:
            faiss.write_index(self._graph, str(folder / "dense.hnsw"))

    @classmethod
    def load(cls, folder: Path) -> DenseIndex:
        """As saved; the vectors are mapped."""
        vectors = np.load(folder / "dense.vectors.npy", mmap_mode="r")
        owners = np.load(folder / "dense.owners.npy")
        graph = folder / "dense.hnsw"
        return cls(vectors, owners, faiss.read_index(str(graph)) if graph.is_file() else None)
