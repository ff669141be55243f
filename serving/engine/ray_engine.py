"""The engine on a Ray cluster: every hosted model is a Ray Serve deployment with replicas.

The server keeps its own HTTP side and asks the replicas; see `docs/cluster.md`.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, Counter

from models.backends import Tensors
from models.errors import ModelUnavailable, UnknownModel
from models.repository import ModelEntry
from serving.engine.inference import Inference, Priority
from serving.engine.local import limits_of
from serving.engine.metrics import EngineMetrics
from serving.engine.ray_model import Bounds, RemoteModel
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.engine.ray_cluster import Cluster

log = structlog.get_logger()

_LOOK_S = 2.0
"""How often the cluster is asked whether every model has a replica: for `alive` alone."""


class RayMetrics(EngineMetrics):
    """What is counted at the HTTP side of a cluster."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.retries = Counter(
            "fenzhen_engine_retries", "Requests asked again after a failure of the Ray cluster.",
            ["model", "reason"], registry=registry,
        )  # fmt: skip


async def open_ray_engine(settings: Settings, registry: CollectorRegistry) -> RayEngine:
    """Join the cluster that the settings name, or start one. Raises ModelUnavailable."""
    try:
        cluster = await asyncio.to_thread(_joined, settings)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "ray":
            raise
        raise ModelUnavailable("Ray is not installed: pip install 'fenzhen[cluster]'") from error
    _take_back_sigterm()
    return RayEngine(settings, cluster, RayMetrics(registry))


def _take_back_sigterm() -> None:
    """Ray's core puts a handler of its own under Python's, which ends the process at once."""
    handler = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is threading.main_thread() and handler is not None:
        signal.signal(signal.SIGTERM, handler)


def _joined(settings: Settings) -> Cluster:
    from serving.engine.ray_cluster import Cluster

    return Cluster(settings)


class RayEngine:
    """See `ModelHost`. Used within one event loop."""

    def __init__(self, settings: Settings, cluster: Cluster, metrics: RayMetrics) -> None:
        limits = limits_of(settings)
        most = settings.ray_max_replicas * (limits.capacity + limits.max_batch)
        self._bounds = Bounds(most, limits.reserved, settings.ray_patience_s)
        self._cluster = cluster
        self._metrics = metrics
        self._models: dict[str, RemoteModel] = {}
        self._answering: frozenset[str] = frozenset()
        self._looking = asyncio.create_task(self._look())

    @property
    def models(self) -> tuple[str, ...]:
        """See `InferenceEngine.models`."""
        return tuple(self._models)

    @property
    def alive(self) -> bool:
        """Whether every model had a replica when the cluster was last asked."""
        return self._answering >= self._models.keys()

    async def host(self, entry: ModelEntry) -> None:
        """See `ModelHost.host`. Several models may be hosted at once."""
        identity = entry.identity
        if identity in self._models:
            return
        call = await asyncio.to_thread(self._cluster.deploy, entry)
        self._answering |= {identity}
        self._models[identity] = RemoteModel(
            identity, call, self._bounds, self._metrics.of(identity),
            lambda reason: self._metrics.retries.labels(identity, reason),
        )  # fmt: skip

    async def remove(self, model: str) -> None:
        """See `ModelHost.remove`."""
        await self._models.pop(model).drain()
        await asyncio.to_thread(self._cluster.remove, model)

    async def infer(
        self,
        model: str,
        tensors: Tensors,
        *,
        priority: Priority = Priority.interactive,
        timeout_s: float | None = None,
    ) -> Inference:
        """See `InferenceEngine.infer`."""
        hosted = self._models.get(model)
        if hosted is None:
            raise UnknownModel(f"no model {model} is hosted")
        return await hosted.infer(tensors, priority, timeout_s)

    async def drain(self) -> None:
        """Take nothing new, finish what is under way, take the models off the cluster, leave."""
        await asyncio.gather(*(model.drain() for model in self._models.values()))
        self._looking.cancel()
        await asyncio.to_thread(self._cluster.close)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            before = set(self._models)
            try:
                found = await asyncio.to_thread(self._cluster.answering)
                # What was put there meanwhile is warm, and may be missing in what was found.
                self._answering = found | (self._models.keys() - before)
            except Exception as error:
                # Whatever it is, nobody can say that the models answer.
                self._answering = frozenset()
                log.error("cluster does not answer", why=type(error).__name__)
