"""The engine that runs models of the repository in this process."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial

import structlog

from models.backends import Backend
from models.backends.opening import on_gpu, open_backend, options_of
from models.backends.synthetic import TASK, Synthetic
from models.backends.warm_up import warm_up
from models.manifest import Manifest
from models.repository import ModelEntry
from serving.engine import cores
from serving.engine.engine import Engine
from serving.engine.metrics import EngineMetrics
from serving.engine.scheduler import Limits
from serving.engine.tuning import Shape, Tuned, instant, speed, tune
from serving.engine.worker import Worker
from serving.settings import Settings

log = structlog.get_logger()

_PICTURE_AXES = 4
"""Rows, channels, height, width."""


def limits_of(settings: Settings) -> Limits:
    """The bounds of every model's queue under these settings."""
    return Limits(
        capacity=settings.queue_capacity,
        reserved=min(settings.queue_reserved, settings.queue_capacity - 1),
        max_batch=settings.max_batch,
    )


def budget_of(settings: Settings, manifest: Manifest) -> int:
    """Most elements of a batch: pixels where the model reads pictures, else tokens."""
    pictured = any(len(spec.shape) == _PICTURE_AXES for spec in manifest.inputs)
    return settings.batch_pixels if pictured else settings.batch_tokens


class LocalEngine(Engine):
    """See `ModelHost`."""

    def __init__(self, settings: Settings, metrics: EngineMetrics) -> None:
        super().__init__(metrics)
        self._settings = settings
        # What is measured beside another model that loads is not worth much.
        self._one_at_a_time = asyncio.Lock()

    async def host(self, entry: ModelEntry) -> None:
        """See `ModelHost.host`."""
        async with self._one_at_a_time:
            if entry.identity in self.models:
                return
            workers, max_batch = await asyncio.to_thread(self._workers, entry)
            budget = budget_of(self._settings, entry.manifest)
            limits = replace(limits_of(self._settings), max_batch=max_batch, budget=budget)
            at_once = await asyncio.to_thread(instant, workers[0].backend, entry.manifest)
            self.add(entry.identity, workers, limits, at_once=at_once)

    def _workers(self, entry: ModelEntry) -> tuple[list[Worker], int]:
        settings, manifest = self._settings, entry.manifest
        if manifest.task == TASK:
            return [Worker(Synthetic(manifest))], settings.max_batch
        options = options_of(manifest.name, settings.backends, settings.providers)
        opened = partial(open_backend, entry, options)
        if on_gpu(manifest, options):
            # Two workers share what is on the GPU: one batch is copied while the other computes.
            shape = Shape(2, settings.model_threads or 1, settings.max_batch)
            pins: list[tuple[int, ...]] = [()]
        else:
            shape, pins = self._shape(entry, opened)
        log.info("model hosted", model=entry.identity, **asdict(shape))
        workers = []
        for pinned in pins:
            backend = opened(threads=shape.threads, cores=pinned or None)
            warm_up(backend, manifest, shape.max_batch)
            workers.append(Worker(backend, pinned))
        return workers * (shape.workers // len(pins)), shape.max_batch

    def _shape(
        self, entry: ModelEntry, opened: Callable[..., Backend]
    ) -> tuple[Shape, list[tuple[int, ...]]]:
        """How many workers with how many threads and rows, and the cores of each."""
        settings, usable = self._settings, cores.available()
        asked = settings.model_workers, settings.model_threads
        if settings.tune and asked == (None, None):
            shape = Tuned(settings.var / "tuning.json").shape(
                _key(entry, len(usable), settings.max_batch),
                lambda: tune(
                    lambda threads: opened(threads=threads),
                    entry.manifest,
                    cores=len(usable),
                    most=settings.max_batch,
                ),
            )
            return shape, [()] * shape.workers
        threads, pins = cores.plan(asked[0] or 1, asked[1], usable)
        batch = settings.max_batch
        if settings.tune:
            with closing(opened(threads=threads)) as backend:
                batch = speed(backend, entry.manifest, batch).batch
        return Shape(len(pins), threads, batch), pins


def _key(entry: ModelEntry, cores_: int, most: int) -> str:
    """What the best shape of a model hangs on."""
    files = " ".join(f"{name}:{sha[:12]}" for name, sha in sorted(entry.manifest.files.items()))
    return f"{entry.identity} {files} {platform.processor()} {cores_} cores, batch {most}"
