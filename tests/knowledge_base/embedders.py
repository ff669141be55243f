"""A tiny real embedder for tests: hashed tokens, the same vectors in every process."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from knowledge_base.tokeniser import tokenise


class HashedTokens:
    """A bag of tokens in `dimension` buckets, L2-normalised."""

    def __init__(self, dimension: int = 2048) -> None:
        self.dimension = dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for token in tokenise(text):
                row[zlib.crc32(token.encode()) % self.dimension] += 1.0
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.where(norms > 0, norms, 1.0)
        return rows
