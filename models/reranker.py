"""The reranker where it stands, without a server: a question and passages to probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.backends import Backend
from models.backends.onnx import OnnxBackend
from models.batching import join
from models.repository import ModelEntry
from models.tasks.reranker import RerankerTask

_BATCH = 16


class HostedReranker:
    """Runs the task on a backend, passages of like length together; thread-safe."""

    def __init__(self, task: RerankerTask, backend: Backend) -> None:
        self._task, self._backend = task, backend

    @classmethod
    def of(cls, entry: ModelEntry) -> HostedReranker:
        """A version of the repository, on the CPU."""
        return cls(RerankerTask(entry.manifest, entry.folder), OnnxBackend(entry.network))

    def probabilities(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """That each passage answers the question, float32 [len(passages)]."""
        found = np.zeros(len(passages), dtype=np.float32)
        rows = [self._task.prepare((question, passage)) for passage in passages]
        order = sorted(range(len(rows)), key=lambda i: rows[i]["pieces"].shape[1])
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            outputs = self._backend.run(join([rows[i] for i in chosen]))
            found[chosen] = self._task.probabilities(outputs["logits"])
        return found
