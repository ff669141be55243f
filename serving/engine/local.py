"""The engine that runs models of the repository in this process."""

from __future__ import annotations

import asyncio

from models.backends import Backend
from models.backends.onnx import OnnxBackend
from models.backends.synthetic import TASK, Synthetic
from models.backends.warm_up import warm_up
from models.repository import ModelEntry
from serving.engine import cores
from serving.engine.engine import Engine
from serving.engine.metrics import EngineMetrics
from serving.engine.model_queue import Worker
from serving.engine.scheduler import Limits
from serving.settings import Settings


def limits_of(settings: Settings) -> Limits:
    """The bounds of every model's queue under these settings."""
    return Limits(
        capacity=settings.queue_capacity,
        reserved=min(settings.queue_reserved, settings.queue_capacity - 1),
        max_batch=settings.max_batch,
    )


class LocalEngine(Engine):
    """See `ModelHost`."""

    def __init__(self, settings: Settings, metrics: EngineMetrics) -> None:
        super().__init__(metrics)
        self._settings = settings
        self._threads, self._pins = cores.plan(
            settings.model_workers, settings.model_threads, cores.available()
        )

    async def host(self, entry: ModelEntry) -> None:
        """See `ModelHost.host`."""
        if entry.identity not in self.models:
            workers = await asyncio.to_thread(self._workers, entry)
            self.add(entry.identity, workers, limits_of(self._settings))

    def _workers(self, entry: ModelEntry) -> list[Worker]:
        workers = []
        for pins in self._pins:
            backend = self._open(entry, pins)
            warm_up(backend, entry.manifest, self._settings.max_batch)
            workers.append(Worker(backend, pins))
        return workers

    def _open(self, entry: ModelEntry, pins: tuple[int, ...]) -> Backend:
        if entry.manifest.task == TASK:
            return Synthetic(entry.manifest)
        return OnnxBackend(entry.network, threads=self._threads)
