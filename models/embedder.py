"""The embedding model as the knowledge base's `Embedder`: many texts to rows of vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.backends import Backend
from models.backends.onnx import OnnxBackend
from models.batching import join
from models.repository import ModelEntry
from models.tasks.embedding import EmbeddingTask

_BATCH = 64


class HostedEmbedder:
    """Runs the task on a backend, texts of like length together; thread-safe."""

    def __init__(self, task: EmbeddingTask, backend: Backend) -> None:
        self._task = task
        self._backend = backend

    @classmethod
    def of(cls, entry: ModelEntry) -> HostedEmbedder:
        """A version of the repository, on the CPU."""
        return cls(EmbeddingTask(entry.manifest, entry.folder), OnnxBackend(entry.network))

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._task.dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """L2-normalised rows, float32 [len(texts), dimension]."""
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            outputs = self._backend.run(join([self._task.prepare(texts[i]) for i in chosen]))
            rows[chosen] = outputs["embedding"]
        return rows
