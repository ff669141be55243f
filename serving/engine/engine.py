"""The engine of this process: every hosted model with its queue.

Models come and go while requests run: a version that is taken out finishes what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from models.backends import Tensors
from models.errors import UnknownModel
from serving.engine.inference import Inference, Priority
from serving.engine.metrics import EngineMetrics
from serving.engine.model_queue import ModelQueue
from serving.engine.scheduler import Limits
from serving.engine.worker import Worker


class Engine:
    """See `InferenceEngine`. Used within one event loop."""

    def __init__(self, metrics: EngineMetrics) -> None:
        self.metrics = metrics
        self._queues: dict[str, ModelQueue] = {}

    def add(
        self, model: str, workers: Sequence[Worker], limits: Limits, *, at_once: int = 0
    ) -> None:
        """Host a model. Must be called inside the event loop that will serve it.

        `at_once`: see `ModelQueue`.
        """
        if model in self._queues:
            raise ValueError(f"{model} is hosted already")
        self._queues[model] = ModelQueue(model, workers, limits, self.metrics, at_once=at_once)

    async def remove(self, model: str) -> None:
        """Take a model out of service; whoever asked before gets his answer."""
        await self._queues.pop(model).drain()

    def workers(self, model: str) -> tuple[Worker, ...]:
        """The workers of a hosted model."""
        return self._queues[model].workers

    @property
    def models(self) -> tuple[str, ...]:
        """Identities of the hosted models."""
        return tuple(self._queues)

    @property
    def alive(self) -> bool:
        """Whether every model's workers run."""
        return all(queue.alive for queue in self._queues.values())

    async def infer(
        self,
        model: str,
        tensors: Tensors,
        *,
        priority: Priority = Priority.interactive,
        timeout_s: float | None = None,
    ) -> Inference:
        """See `InferenceEngine.infer`."""
        queue = self._queues.get(model)
        if queue is None:
            raise UnknownModel(f"no model {model} is hosted")
        return await queue.infer(tensors, priority, timeout_s)

    async def drain(self) -> None:
        """Take nothing new, finish everything that waits and stop."""
        for queue in self._queues.values():
            queue.stop()
        await asyncio.gather(*(queue.drain() for queue in self._queues.values()))
