"""The engine under test, opened and closed, and what it has counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
from prometheus_client import CollectorRegistry

from models.backends import Tensors
from models.backends.synthetic import entry_of
from models.repository import ModelEntry
from serving.engine.ray_engine import RayEngine, open_ray_engine
from serving.settings import Settings


def settings_for(address: str, **given: object) -> Settings:
    """Settings of a server on that cluster."""
    own: dict[str, object] = {"engine": "ray", "ray_address": address, "model_threads": 1}
    return Settings(_env_file=None, **(own | given))  # type: ignore[arg-type]


class Counted:
    """The server's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

    def __call__(self, sample: str, **labels: str) -> float:
        """The sum of a sample over every label that is not named."""
        return sum(
            one.value
            for metric in self.registry.collect()
            for one in metric.samples
            if one.name == sample and labels.items() <= one.labels.items()
        )


@asynccontextmanager
async def opened(address: str, **given: object) -> AsyncIterator[tuple[RayEngine, Counted]]:
    """An engine on that cluster, taken off it afterwards."""
    counted = Counted()
    engine = await open_ray_engine(settings_for(address, **given), counted.registry)
    try:
        yield engine, counted
    finally:
        await engine.drain()


async def hosting(engine: RayEngine, network: str | ModelEntry) -> str:
    """Host a model, or a synthetic network; its identity."""
    entry = entry_of(network) if isinstance(network, str) else network
    await engine.host(entry)
    return entry.identity


def row(value: float) -> Tensors:
    """One row that tells whose it is."""
    return {"x": np.array([[value, -value]], dtype=np.float32)}


async def until(reached: Callable[[], Awaitable[bool]], seconds: float, otherwise: str) -> None:
    """Wait for something that the cluster does in its own time."""
    deadline = time.monotonic() + seconds
    while not await reached():
        assert time.monotonic() < deadline, otherwise
        await asyncio.sleep(0.1)
